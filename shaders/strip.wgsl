// `separable` in one pass. A workgroup has a strip, COLUMNS columns of SPAN neighbouring channels, and goes
// down it, BATCH rows of the source at a time:
//
//   stage     the rows, with what taps reach beyond the strip, go into workgroup memory, channel by channel,
//             so that four columns are a vector: each scalar is read once, neighbours by neighbours,
//   across    row sums of every term from there: an invocation makes VECTORS vectors of columns of one channel,
//             a spacing apart, and a window slides along what they share, as in flat.wgsl,
//   down      an invocation has one column of one channel, and keeps the sums of all outputs there that are
//             under way, PARTS vectors for each filter. A row sum joins all of them, each by another tap; then
//             the topmost is done, and the others move up. FOUR: it has four columns of a chain, whose sums
//             make up a vector. (GPUs lack the registers. Software adapters pay for each time that workgroup
//             memory is read, and not for how much.)
//
// So a row sum is made once and not once for each block of rows (but for the rows above a workgroup's first
// output), and lies in workgroup memory only on its way from those that make it to those that need it.
//
// With s, d = stride and dilation of an axis, and g = gcd(s, d), a workgroup has outputs d / g rows apart
// (`row_spacing`), which meet every d-th row of the source: output m of them tap i in step m * s / g + i
// (`row_phases` = s / g). Columns of a strip that are d / g apart make up a chain; those of the source that a
// chain meets in one phase lie together in workgroup memory, and so do its row sums.
//
// Taps: rows [terms, kernel_width]; columns [row_phases, terms, filters, sums], those that meet the
// oldest sums first, zeros ahead of them where vectors of sums are not full; then as in weights.wgsl.
//
// Grid: x over strips, channels first; y over marches; z over images.
//
// With strip_f32.wgsl or strip_packed.wgsl, which store.

// What it reads besides: as in flat.wgsl, and outputs of a march. Twin of `StripOwn` in src/plan/job/params.rs.
struct Own {
    row_spacing: u32,
    column_spacing: u32,
    row_phases: u32,
    column_phases: u32,
    march: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

override SPAN: u32 = 1u;
override COLUMNS: u32 = 4u;
override BATCH: u32 = 1u;
override VECTORS: u32 = 1u;
override PARTS: u32 = 1u;
override FOUR: bool = false;
override TERMS: u32 = 1u;
override FILTERS: u32 = 1u;
override OUTPUTS: u32 = 1u;
// Whether four neighbouring channels are read as one word.
override WORDS: bool = false;
// Vectors of both arrays, BATCH rows each, and of the second from one channel of a chain to the next.
override STAGED: u32 = 64u;
override EXCHANGED: u32 = 64u;
override CHAIN: u32 = 1u;
// Sizes; 0 means: read it from the parameters.
override ROW_SPACING: u32 = 0u;
override ROW_PHASES: u32 = 0u;
override COLUMN_SPACING: u32 = 0u;
override COLUMN_PHASES: u32 = 0u;

fn row_spacing() -> u32 { return select(ROW_SPACING, p.own.row_spacing, ROW_SPACING == 0u); }
fn row_phases() -> u32 { return select(ROW_PHASES, p.own.row_phases, ROW_PHASES == 0u); }
fn column_spacing() -> u32 { return select(COLUMN_SPACING, p.own.column_spacing, COLUMN_SPACING == 0u); }
fn column_phases() -> u32 { return select(COLUMN_PHASES, p.own.column_phases, COLUMN_PHASES == 0u); }

// Rows of the source: chains in every phase, phases first; their channels; columns.
var<workgroup> staged: array<vec4<f32>, STAGED>;
// Row sums of every term: chains, channels, columns.
var<workgroup> exchange: array<vec4<f32>, EXCHANGED>;

// Columns of a chain, and vectors of the columns of the source that it meets in a phase.
fn links() -> u32 { return COLUMNS / column_spacing(); }
fn met() -> u32 { return links() / 4u + ((kernel_width() - 1u) / column_phases() + 4u) / 4u; }

// Sums of an invocation: those of its columns in `across` (vector m % VECTORS of term m / VECTORS), and those
// under way in `down` (vector m % PARTS of filter m / PARTS, the oldest first). Fields as in flat.wgsl.
// Twin of MAX_SUMS in src/plan/strip.rs.
struct Sums {
    s0: vec4<f32>, s1: vec4<f32>, s2: vec4<f32>, s3: vec4<f32>,
    s4: vec4<f32>, s5: vec4<f32>, s6: vec4<f32>, s7: vec4<f32>,
    s8: vec4<f32>, s9: vec4<f32>, s10: vec4<f32>, s11: vec4<f32>,
    s12: vec4<f32>, s13: vec4<f32>, s14: vec4<f32>, s15: vec4<f32>,
    s16: vec4<f32>, s17: vec4<f32>, s18: vec4<f32>, s19: vec4<f32>,
    s20: vec4<f32>, s21: vec4<f32>, s22: vec4<f32>, s23: vec4<f32>,
    s24: vec4<f32>, s25: vec4<f32>, s26: vec4<f32>, s27: vec4<f32>,
    s28: vec4<f32>, s29: vec4<f32>, s30: vec4<f32>, s31: vec4<f32>,
}

fn nothing() -> Sums {
    let zero = vec4(0.0);
    return Sums(
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    );
}

fn sum_of(s: Sums, m: u32) -> vec4<f32> {
    var sum = s.s0;
    switch m {
        case 1u: { sum = s.s1; }
        case 2u: { sum = s.s2; }
        case 3u: { sum = s.s3; }
        case 4u: { sum = s.s4; }
        case 5u: { sum = s.s5; }
        case 6u: { sum = s.s6; }
        case 7u: { sum = s.s7; }
        case 8u: { sum = s.s8; }
        case 9u: { sum = s.s9; }
        case 10u: { sum = s.s10; }
        case 11u: { sum = s.s11; }
        case 12u: { sum = s.s12; }
        case 13u: { sum = s.s13; }
        case 14u: { sum = s.s14; }
        case 15u: { sum = s.s15; }
        case 16u: { sum = s.s16; }
        case 17u: { sum = s.s17; }
        case 18u: { sum = s.s18; }
        case 19u: { sum = s.s19; }
        case 20u: { sum = s.s20; }
        case 21u: { sum = s.s21; }
        case 22u: { sum = s.s22; }
        case 23u: { sum = s.s23; }
        case 24u: { sum = s.s24; }
        case 25u: { sum = s.s25; }
        case 26u: { sum = s.s26; }
        case 27u: { sum = s.s27; }
        case 28u: { sum = s.s28; }
        case 29u: { sum = s.s29; }
        case 30u: { sum = s.s30; }
        case 31u: { sum = s.s31; }
        default: {}
    }
    return sum;
}

// The strip and the march of a workgroup.
struct Strip {
    image: u32,
    // The first channel and column, the latter in the band and in the continued input.
    channel: u32,
    column: u32,
    left: i32,
    // Columns there are from that on.
    columns: u32,
    // The first output row, and how many there are; and the row of the continued input that the first tap meets.
    row: u32,
    rows: u32,
    top: i32,
}

// `count` rows of the source, the first of them `step` dilations below the first tap.
fn stage(strip: Strip, step: u32, count: u32, local: u32) {
    let pitch = STAGED / BATCH;
    let together = select(1u, 4u, WORDS);
    let channels_read = SPAN / together;
    let chains = column_spacing() * min(column_phases(), kernel_width());
    let row_reads = chains * met() * channels_read;
    // Each has one place, or a few, and every so many rows of it.
    let rows_at_once = max(WORKGROUP_X / row_reads, 1u);
    let first_row = select(local / row_reads, 0u, row_reads > WORKGROUP_X);
    for (var n = local - first_row * row_reads; n < row_reads; n += WORKGROUP_X) {
        let vector = n / channels_read;
        let span_channel = (n - vector * channels_read) * together;
        let chain = vector / met();
        let link = (vector - chain * met()) * 4u;
        // Of the channels beyond the last nothing is made.
        let channel = min(strip.channel + span_channel, channels() - together);
        let phase = chain / column_spacing();
        let every = column_spacing() * stride_columns();
        let column = (chain - phase * column_spacing()) * stride_columns() + phase * dilation_columns() + link * every;
        let c0 = staged_column(strip.left + i32(column));
        let c1 = staged_column(strip.left + i32(column + every));
        let c2 = staged_column(strip.left + i32(column + 2u * every));
        let c3 = staged_column(strip.left + i32(column + 3u * every));
        let base = p.src_base + strip.image * p.src_image + channel;
        let to = (chain * SPAN + span_channel) * met() + link / 4u;
        // Those behind the last whole row have nothing to do.
        let rows = select(0u, count, first_row < rows_at_once);
        for (var b = first_row; b < rows; b += rows_at_once) {
            let row = source_row(min(strip.top + i32((step + b) * dilation_rows()), p.last_row));
            let row_base = base + u32(max(row, 0)) * p.src_pitch;
            let at = b * pitch + to;
            if WORDS {
                let v = transpose(mat4x4(
                    four_at(row, row_base, c0), four_at(row, row_base, c1),
                    four_at(row, row_base, c2), four_at(row, row_base, c3),
                ));
                staged[at] = v[0];
                staged[at + met()] = v[1];
                staged[at + 2u * met()] = v[2];
                staged[at + 3u * met()] = v[3];
            } else {
                staged[at] = vec4(
                    one_at(row, row_base, c0), one_at(row, row_base, c1),
                    one_at(row, row_base, c2), one_at(row, row_base, c3),
                );
            }
        }
    }
}

fn staged_column(at: i32) -> i32 { return source_column(min(at, p.last_column)); }

fn one_at(row: i32, row_base: u32, column: i32) -> f32 {
    return select(p.fill, load1(row_base + u32(max(column, 0)) * channels()), min(row, column) >= 0);
}

fn four_at(row: i32, row_base: u32, column: i32) -> vec4<f32> {
    return select(vec4(p.fill), load4(row_base + u32(max(column, 0)) * channels()), min(row, column) >= 0);
}

// Sum m with tap column `tap` added.
fn join(sum: vec4<f32>, m: u32, tap: u32, w: Window) -> vec4<f32> {
    var joined = sum;
    if m < TERMS * VECTORS {
        let weight = vec4(weights[m / VECTORS * kernel_width() + tap]);
        joined = fma(weight, vector_of_window(w, m % VECTORS), sum);
    }
    return joined;
}

// Every sum with tap column `tap` added, if it is one.
fn joined(s: Sums, tap: u32, w: Window) -> Sums {
    if tap >= kernel_width() {
        return s;
    }
    return Sums(
        join(s.s0, 0u, tap, w), join(s.s1, 1u, tap, w), join(s.s2, 2u, tap, w), join(s.s3, 3u, tap, w),
        join(s.s4, 4u, tap, w), join(s.s5, 5u, tap, w), join(s.s6, 6u, tap, w), join(s.s7, 7u, tap, w),
        join(s.s8, 8u, tap, w), join(s.s9, 9u, tap, w), join(s.s10, 10u, tap, w), join(s.s11, 11u, tap, w),
        join(s.s12, 12u, tap, w), join(s.s13, 13u, tap, w), join(s.s14, 14u, tap, w), join(s.s15, 15u, tap, w),
        s.s16, s.s17, s.s18, s.s19, s.s20, s.s21, s.s22, s.s23, s.s24, s.s25, s.s26, s.s27, s.s28, s.s29, s.s30, s.s31,
    );
}

// Row sums of the first `count` of the rows that are staged.
fn across(count: u32, local: u32) {
    let pitch = STAGED / BATCH;
    let to_pitch = EXCHANGED / BATCH;
    // Blocks of a chain, and of all.
    let along = links() / (VECTORS * 4u);
    let blocks = column_spacing() * SPAN * along;
    let rounds = (BATCH * blocks + WORKGROUP_X - 1u) / WORKGROUP_X;
    for (var round = 0u; round < rounds; round++) {
        let item = round * WORKGROUP_X + local;
        // Rows first: they are so far apart that all of them meet different banks.
        let b = item % BATCH;
        let n = item / BATCH;
        if b >= count || n >= blocks {
            continue;
        }
        // A channel of a chain.
        let line = n / along;
        let first = (n - line * along) * VECTORS;
        var s = nothing();
        for (var phase = 0u; phase < min(column_phases(), kernel_width()); phase++) {
            var at = b * pitch + (phase * column_spacing() * SPAN + line) * met() + first;
            var w = Window(staged[at], vec4(0.0), vec4(0.0), vec4(0.0));
            if VECTORS > 1u {
                w.u1 = staged[at + 1u];
            }
            if VECTORS > 2u {
                w.u2 = staged[at + 2u];
                w.u3 = staged[at + 3u];
            }
            at += VECTORS;
            for (var tap = phase; tap < kernel_width(); tap += 4u * column_phases()) {
                let next = staged[at];
                at += 1u;
                s = joined(s, tap, w);
                w = slide_chain(w, next.x, VECTORS);
                s = joined(s, tap + column_phases(), w);
                w = slide_chain(w, next.y, VECTORS);
                s = joined(s, tap + 2u * column_phases(), w);
                w = slide_chain(w, next.z, VECTORS);
                s = joined(s, tap + 3u * column_phases(), w);
                w = slide_chain(w, next.w, VECTORS);
            }
        }
        for (var m = 0u; m < TERMS * VECTORS; m++) {
            let to = b * to_pitch + (m / VECTORS * column_spacing() * SPAN + line) * CHAIN;
            exchange[to + first + m % VECTORS] = sum_of(s, m);
        }
    }
}

// Sums of a filter that an invocation keeps in a column.
fn kept() -> u32 { return select(PARTS * 4u, PARTS, FOUR); }

// The taps of a phase and term, sum by sum.
fn taps_of(which: u32) -> Sums {
    let first = TERMS * kernel_width() + which * FILTERS * kept();
    return Sums(
        taps(first, 0u), taps(first, 1u), taps(first, 2u), taps(first, 3u), taps(first, 4u), taps(first, 5u), taps(first, 6u), taps(first, 7u),
        taps(first, 8u), taps(first, 9u), taps(first, 10u), taps(first, 11u), taps(first, 12u), taps(first, 13u), taps(first, 14u), taps(first, 15u),
        taps(first, 16u), taps(first, 17u), taps(first, 18u), taps(first, 19u), taps(first, 20u), taps(first, 21u), taps(first, 22u), taps(first, 23u),
        taps(first, 24u), taps(first, 25u), taps(first, 26u), taps(first, 27u), taps(first, 28u), taps(first, 29u), taps(first, 30u), taps(first, 31u),
    );
}

fn taps(first: u32, m: u32) -> vec4<f32> {
    var four = vec4(0.0);
    if m < FILTERS * PARTS && FOUR {
        four = vec4(weights[first + m]);
    } else if m < FILTERS * PARTS {
        let at = first + m * 4u;
        four = vec4(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
    }
    return four;
}

// Sum m with row sums added; where an output enters behind the youngest, all move up by one before.
fn advance(sum: vec4<f32>, next: vec4<f32>, m: u32, taps: vec4<f32>, value: vec4<f32>, enters: bool) -> vec4<f32> {
    var advanced = sum;
    if m < FILTERS * PARTS {
        let behind = select(next, vec4(0.0), m % PARTS == PARTS - 1u);
        let moved = select(vec4(sum.yzw, behind.x), behind, FOUR);
        advanced = fma(taps, value, select(sum, moved, enters));
    }
    return advanced;
}

fn advanced(s: Sums, t: Sums, value: vec4<f32>, enters: bool) -> Sums {
    return Sums(
        advance(s.s0, s.s1, 0u, t.s0, value, enters), advance(s.s1, s.s2, 1u, t.s1, value, enters),
        advance(s.s2, s.s3, 2u, t.s2, value, enters), advance(s.s3, s.s4, 3u, t.s3, value, enters),
        advance(s.s4, s.s5, 4u, t.s4, value, enters), advance(s.s5, s.s6, 5u, t.s5, value, enters),
        advance(s.s6, s.s7, 6u, t.s6, value, enters), advance(s.s7, s.s8, 7u, t.s7, value, enters),
        advance(s.s8, s.s9, 8u, t.s8, value, enters), advance(s.s9, s.s10, 9u, t.s9, value, enters),
        advance(s.s10, s.s11, 10u, t.s10, value, enters), advance(s.s11, s.s12, 11u, t.s11, value, enters),
        advance(s.s12, s.s13, 12u, t.s12, value, enters), advance(s.s13, s.s14, 13u, t.s13, value, enters),
        advance(s.s14, s.s15, 14u, t.s14, value, enters), advance(s.s15, s.s16, 15u, t.s15, value, enters),
        advance(s.s16, s.s17, 16u, t.s16, value, enters), advance(s.s17, s.s18, 17u, t.s17, value, enters),
        advance(s.s18, s.s19, 18u, t.s18, value, enters), advance(s.s19, s.s20, 19u, t.s19, value, enters),
        advance(s.s20, s.s21, 20u, t.s20, value, enters), advance(s.s21, s.s22, 21u, t.s21, value, enters),
        advance(s.s22, s.s23, 22u, t.s22, value, enters), advance(s.s23, s.s24, 23u, t.s23, value, enters),
        advance(s.s24, s.s25, 24u, t.s24, value, enters), advance(s.s25, s.s26, 25u, t.s25, value, enters),
        advance(s.s26, s.s27, 26u, t.s26, value, enters), advance(s.s27, s.s28, 27u, t.s27, value, enters),
        advance(s.s28, s.s29, 28u, t.s28, value, enters), advance(s.s29, s.s30, 29u, t.s29, value, enters),
        advance(s.s30, s.s31, 30u, t.s30, value, enters), advance(s.s31, s.s31, 31u, t.s31, value, enters),
    );
}

// Outputs under way at once in a column, and the component of a filter's first vector that the oldest of them is.
fn under_way() -> u32 { return (kernel_height() - 1u) / row_phases() + 1u; }
fn oldest(column: u32) -> u32 { return select(PARTS * 4u - under_way(), column, FOUR); }

// The output of a march that is done behind `step`, counted from 1; 0 for none.
fn done_behind(step: u32) -> u32 {
    let entered = step / row_phases() + 1u;
    let last = (kernel_height() - 1u) % row_phases();
    return select(0u, entered + 1u - under_way(), step % row_phases() == last && entered >= under_way());
}

// What is made of the sums of the oldest output in one of the invocation's columns.
fn outputs_of(s: Sums, column: u32) -> array<f32, 16> {
    let bias = TERMS * kernel_width() + row_phases() * TERMS * FILTERS * kept();
    let scale = bias + FILTERS;
    let matrix = scale + 1u;
    var y: array<f32, 16>;
    for (var f = 0u; f < FILTERS; f++) {
        let scaled = fma(sum_of(s, f * PARTS)[oldest(column)], weights[scale], weights[bias + f]);
        y[f] = activate(ACTIVATION, scaled, p.activation_a, p.activation_b);
    }
    if FOLLOW {
        let filtered = y;
        for (var g = 0u; g < OUTPUTS; g++) {
            var sum = weights[matrix + FILTERS * OUTPUTS + g];
            for (var f = 0u; f < FILTERS; f++) {
                sum = fma(weights[matrix + f * OUTPUTS + g], filtered[f], sum);
            }
            y[g] = activate(FOLLOW_ACTIVATION, sum, p.follow_a, p.follow_b);
        }
    }
    return y;
}

// What an invocation goes down with.
struct Down {
    // Sums under way, and taps: those of the last phase and term, which in a plain march are those of all.
    sums: Sums,
    taps: Sums,
    // Where the next outputs go, from their row to the next, and from column to column of theirs.
    to: u32,
    to_row: u32,
    to_column: u32,
}

// Of the columns of an invocation the first, and the distance to the next.
fn own_columns() -> u32 { return select(1u, 4u, FOUR); }
fn own_column(local: u32) -> u32 {
    let chain = local / SPAN % column_spacing();
    return local / SPAN / column_spacing() * own_columns() * column_spacing() + chain;
}

// Step b of a batch: the row sums of its place join what is under way.
fn down(d: ptr<function, Down>, strip: Strip, step: u32, b: u32, local: u32) {
    let from_row = b * (EXCHANGED / BATCH);
    let chain = local / SPAN % column_spacing();
    let link = local / SPAN / column_spacing() * own_columns();
    let phase = (step + b) % row_phases();
    for (var term = 0u; term < TERMS; term++) {
        if TERMS > 1u || row_phases() > 1u {
            (*d).taps = taps_of(phase * TERMS + term);
        }
        let line = (term * column_spacing() + chain) * SPAN + local % SPAN;
        let at = from_row + line * CHAIN + link / 4u;
        var value: vec4<f32>;
        if FOUR {
            value = exchange[at];
        } else {
            value = vec4(exchange[at][link % 4u]);
        }
        (*d).sums = advanced((*d).sums, (*d).taps, value, phase == 0u && term == 0u);
    }
    if done_behind(step + b) > 0u {
        for (var column = 0u; column < own_columns(); column++) {
            put((*d).to + column * (*d).to_column, outputs_of((*d).sums, column), b, column, local, strip);
        }
        (*d).to += (*d).to_row;
    }
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) invocation: vec3<u32>,
) {
    let at = grid_place(group);
    let local = invocation.x;
    let spans = (channels() + SPAN - 1u) / SPAN;
    let first_column = at.x / spans * COLUMNS;
    let first_row = at.y / row_spacing() * (row_spacing() * p.own.march) + at.y % row_spacing();
    if first_column >= p.columns || first_row >= p.rows || at.z >= p.images {
        return;
    }
    let strip = Strip(
        at.z,
        at.x % spans * SPAN,
        first_column,
        i32((p.out_column + first_column) * stride_columns()) - p.left,
        p.columns - first_column,
        first_row,
        min((p.rows - first_row - 1u) / row_spacing() + 1u, p.own.march),
        i32((p.out_row + first_row) * stride_rows()) - p.top,
    );
    let together = select(OUTPUTS, 1u, p.planar != 0u);
    var d = Down(
        nothing(), taps_of(0u),
        first_target(strip, local), row_spacing() * p.dst_pitch, column_spacing() * channels() * together,
    );
    let steps = (strip.rows - 1u) * row_phases() + kernel_height();
    for (var step = 0u; step < steps; step += BATCH) {
        let count = min(steps - step, BATCH);
        stage(strip, step, count, local);
        workgroupBarrier();
        across(count, local);
        workgroupBarrier();
        for (var b = 0u; b < count; b++) {
            down(&d, strip, step, b, local);
        }
        flush(strip, step, count, local);
    }
}
