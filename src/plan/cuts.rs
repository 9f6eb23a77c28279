//! Sizes of the pieces that work is cut into, where they are not the plan's own choice.

/// Tests draw these at random, so that small problems meet the borders of tasks, tiles, parts and bands,
/// which otherwise lie where only large ones reach. `None` is what the plan takes by its own numbers.
///
/// They change time and memory. Results keep their bounds; where a piece only says who makes an output, as
/// tasks, tiles of columns and bands do, they keep their bits too, but for `fft` on a GPU, whose tiles
/// begin where a band does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(hidden)]
pub struct Cuts {
    /// CPU: output rows of a task.
    pub task_rows: Option<usize>,
    /// CPU: output columns of a task of `direct`.
    pub task_columns: Option<usize>,
    /// CPU: images of a task, where they are small.
    pub images: Option<usize>,
    /// CPU: scalars of a tile of columns.
    pub tile: Option<usize>,
    /// CPU: bytes of tensors beyond which outputs are stored past the caches.
    pub cache: Option<u64>,
    /// CPU: output rows of a part of a kernel's gradient.
    pub part_rows: Option<usize>,
    /// Both: rows and columns of the tiles of `fft`; powers of two on a GPU.
    pub transform: Option<(usize, usize)>,
    /// GPU: whether a workgroup has tiles of `fft` whole, in one pass.
    pub whole: Option<bool>,
    /// GPU: whether kernels' gradients are made by transforms, where these may.
    pub products: Option<bool>,
    /// GPU: bytes of a band.
    pub band_bytes: Option<u64>,
    /// GPU: multiply-adds of a band.
    pub band_work: Option<u64>,
    /// GPU: vectors of sums of a block of `flat`.
    pub sums: Option<usize>,
    /// GPU: whether `separable` takes one pass, or two.
    pub one_pass: Option<bool>,
    /// GPU: output rows of a march of `separable` in one pass.
    pub march: Option<usize>,
    /// GPU: positions, or pairs of planes, that an invocation adds up of a kernel's gradient.
    pub positions: Option<usize>,
    /// GPU: what the host reads and writes are buffers of their own, though the device shares its memory.
    pub staged: bool,
}

impl Cuts {
    /// The plan's own choice everywhere.
    pub const NONE: Self = Self {
        task_rows: None,
        task_columns: None,
        images: None,
        tile: None,
        cache: None,
        part_rows: None,
        transform: None,
        whole: None,
        products: None,
        band_bytes: None,
        band_work: None,
        sums: None,
        one_pass: None,
        march: None,
        positions: None,
        staged: false,
    };
}
