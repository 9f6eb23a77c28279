// How `strip` stores where words hold several scalars: through workgroup memory, so that one invocation has all
// scalars of a word. A strip begins and ends with whole words.

// Scalars of the array: BATCH rows.
override LEAVING: u32 = 1u;

// Rows of outputs: as many planes, of every place of a strip.
var<workgroup> leaving: array<f32, LEAVING>;

fn first_target(strip: Strip, local: u32) -> u32 { return 0u; }

// Hands over the outputs of one of its columns.
fn put(to: u32, y: array<f32, 16>, b: u32, column: u32, local: u32, strip: Strip) {
    var outputs = y;
    let place = (own_column(local) + column * column_spacing()) * SPAN + local % SPAN;
    for (var g = 0u; g < OUTPUTS; g++) {
        leaving[b * (LEAVING / BATCH) + g * (COLUMNS * SPAN) + place] = outputs[g];
    }
}

// The outputs that are done in the `count` steps from `step` on.
fn flush(strip: Strip, step: u32, count: u32, local: u32) {
    workgroupBarrier();
    let pitch = LEAVING / BATCH;
    let planes = select(1u, OUTPUTS, p.planar != 0u);
    let together = OUTPUTS / planes;
    let words = COLUMNS * SPAN * OUTPUTS / LANES;
    let rounds = (BATCH * words + WORKGROUP_X - 1u) / WORKGROUP_X;
    for (var round = 0u; round < rounds; round++) {
        let n = round * WORKGROUP_X + local;
        let b = n / words;
        let done = done_behind(step + b);
        // Scalars of a plane, whose columns lie one after the other.
        let scalar = n % words * LANES % (COLUMNS * SPAN * together);
        let plane = n % words * LANES / (COLUMNS * SPAN * together);
        let place = scalar / together;
        let column = strip.column + place / SPAN;
        let channel = strip.channel + place % SPAN;
        if b < count && done > 0u && column < p.columns && channel < channels() {
            var v = vec4(0.0);
            for (var lane = 0u; lane < LANES; lane++) {
                let at = scalar + lane;
                v[lane] = leaving[b * pitch + (plane + at % together) * (COLUMNS * SPAN) + at / together];
            }
            let row = strip.row + (done - 1u) * row_spacing();
            let first = (column * channels() + channel) * together + scalar % together;
            store_at(strip.image * planes + plane, row, first, v);
        }
    }
}
