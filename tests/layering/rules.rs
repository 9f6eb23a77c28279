//! The rules as data.

/// Rooms of the crate, which are its top modules, and what each may name: rooms, or single items.
pub const MAY_NAME: &[(&str, &str)] = &[
    // Leaves.
    ("activation", ""),
    ("border", ""),
    ("color", ""),
    ("element", ""),
    ("lru", ""),
    ("memory", ""),
    ("shape", ""),
    ("wait", ""),
    ("window", ""),
    // An error tells which algorithm did not apply.
    ("error", "plan::Algorithm memory"),
    ("kernel", "error memory"),
    ("conv", "activation border element error kernel shape"),
    ("problem", "activation border conv element error kernel memory shape window"),
    ("plan", "activation border color conv element error kernel memory problem shape window"),
    ("cpu", "activation border color conv element error kernel memory plan problem shape"),
    ("gpu", "activation border color conv element error kernel lru memory plan problem shape wait"),
    // Stands where `gpu` does, without the feature of that name.
    ("no_gpu", "conv element plan problem shape error wait"),
    (
        "engine",
        "activation border color conv cpu element error gpu kernel lru memory plan problem shape wait window",
    ),
    ("store", "element error memory shape stream window"),
    ("stream", "conv element engine error memory plan problem shape window"),
    ("image", "activation color conv element engine error memory problem shape wait"),
    ("learn", "conv element engine error kernel memory shape"),
    // The law shares the arithmetic of shapes with what it judges, and nothing else.
    ("reference", "activation border element problem shape"),
];

/// Outside crates, and the rooms that may use them; the programs in `src/bin` are one room.
pub const OUTSIDE: &[(&str, &str)] = &[
    ("wgpu", "gpu"),
    ("image", "image bin"),
    ("ndarray", "conv kernel engine image learn bin"),
    ("rayon", "cpu gpu store bin"),
    ("rustfft", "kernel cpu"),
    ("fearless_simd", "cpu"),
    ("libc", "cpu"),
    ("ndarray_npy", "learn bin"),
    ("rand_pcg", "learn"),
    ("safetensors", "learn"),
    ("pollster", "wait gpu bin"),
    ("log", "gpu"),
    ("wasm_bindgen_futures", "gpu"),
    ("naga", ""),
    ("tiff", "store bin"),
    ("zarrs", "store"),
    ("serde_json", "store bin"),
];

/// `plan` is a pure function: no clock, thread, environment or file.
pub const IMPURE: &str = "env fs io net process sync thread time";

/// Names inside a room that go against its order, so that files go in circles. New rows are not
/// welcome: what both files need goes into one below them.
pub const BACKWARDS: &[(&str, &str)] = &[];

/// The parts of a room from the bottom up: each may name those before it.
pub const ORDER: &[(&str, &str)] = &[
    (
        "plan",
        "algorithm cuts limits cost offer gather bands edges direct flat phases strip box_filter separable march tile fft launch split pass reweigh part regions transfer explain \
         fold products gradient chain engines job",
    ),
    (
        "plan/job",
        "shader codes placement texels constants params weights pixels forward chain products gradient",
    ),
    (
        "gpu",
        "device range program bound halves executor copies staging ready measure tuning costs prepared host ticket \
         tensor reweigh apply chain frames subresource texture gradient",
    ),
    (
        "gpu/device",
        "options adapter known limits faults loss memory promise wait polling poller requirements stamps",
    ),
    ("gpu/program", "march files folder module texel pipelines planned"),
];

pub const MOST_LINES: usize = 500;

/// Whether a list of words has this one.
pub fn lists(words: &str, word: &str) -> bool {
    words.split(' ').any(|w| w == word)
}
