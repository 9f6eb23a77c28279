// Flat rows: a row of width * channels scalars, whose horizontal taps lie `channels * dilation`
// apart, so that RGB costs no more than RGBA. An invocation makes a block of outputs and keeps all
// their sums in registers:
//
//   VECTORS  vectors of four columns, a spacing apart; CHAINED: they go on from one another, and
//            otherwise they belong to neighbouring scalars of the flat row (`units`), as many as
//            fill words of a packed destination,
//   ROWS     rows, a spacing apart,
//   FILTERS  filters.
//
// The spacing is the least for which one output's tap meets what a neighbour's next tap met:
// with s, d = stride and dilation of an axis, and g = gcd(s, d),
//
//   spacing = d / g,   phases = s / g,   spacing * s = phases * d.
//
// Tap j of output k reads where tap j - phases of output k + 1 reads. So for every phase (the taps
// phase, phase + phases, ...) a window slides along the source: each step reads one scalar a unit,
// and shifts. Where that relation is not wanted, a multiple of spacing and phases does as well.
// The same holds for rows: each source row is read once and joins all rows of the block.
//
// The source may have several planes (`terms`), each with taps of its own: their sums are added.
// Taps: [terms, filters, kernel_height, kernel_width].
//
// Grid: x over blocks of columns, and units within; y over blocks of rows; z over images.

// What it reads besides: distance of a block's rows and columns, taps between two that read the same, and
// sums of taps over as many planes of the source. Twin of `FlatOwn` in src/plan/job/params.rs.
struct Own {
    row_spacing: u32,
    column_spacing: u32,
    row_phases: u32,
    column_phases: u32,
    terms: u32,
    src_term: u32,
    unused_0: u32,
    unused_1: u32,
}

override VECTORS: u32 = 1u;
override CHAINED: bool = false;
override ROWS: u32 = 1u;
override FILTERS: u32 = 1u;
override OUTPUTS: u32 = 1u;
// Whether the units are read as one word of four.
override WORDS: bool = false;
// Sizes; 0 means: read it from the parameters.
override ROW_SPACING: u32 = 0u;
override ROW_PHASES: u32 = 0u;
override COLUMN_SPACING: u32 = 0u;
override COLUMN_PHASES: u32 = 0u;
override TERMS: u32 = 0u;

fn row_spacing() -> u32 { return select(ROW_SPACING, p.own.row_spacing, ROW_SPACING == 0u); }
fn row_phases() -> u32 { return select(ROW_PHASES, p.own.row_phases, ROW_PHASES == 0u); }
fn column_spacing() -> u32 { return select(COLUMN_SPACING, p.own.column_spacing, COLUMN_SPACING == 0u); }
fn column_phases() -> u32 { return select(COLUMN_PHASES, p.own.column_phases, COLUMN_PHASES == 0u); }
fn terms() -> u32 { return select(TERMS, p.own.terms, TERMS == 0u); }

// Units of a block, and its columns.
fn units() -> u32 { return select(VECTORS, 1u, CHAINED); }
fn block_columns() -> u32 { return select(4u, 4u * VECTORS, CHAINED); }

// Where the units of the block lie.
struct Place {
    // Source column of column 0 and tap 0, per unit; and the channel.
    column: vec4<i32>,
    channel: vec4<u32>,
    // Scalars of a source row before it; they wrap where it lies outside.
    before: vec4<u32>,
}

// Units 0 to 3 of a source row (-1 for the constant), `steps` beyond the first column. What lies beyond
// the last column belongs to outputs beyond the last: it is not read.
fn units_at(row: i32, row_base: u32, place: Place, steps: u32) -> vec4<f32> {
    let ahead = steps * dilation_columns();
    if WORDS {
        let first = spot(row_base, place.column.x, place.channel.x, place.before.x, ahead);
        return select(vec4(p.fill), load4(first.scalar), first.inside && row >= 0);
    }
    var v: vec4<f32>;
    v.x = unit_at(row, row_base, place.column.x, place.channel.x, place.before.x, ahead);
    if units() > 1u { v.y = unit_at(row, row_base, place.column.y, place.channel.y, place.before.y, ahead); }
    if units() > 2u { v.z = unit_at(row, row_base, place.column.z, place.channel.z, place.before.z, ahead); }
    if units() > 3u { v.w = unit_at(row, row_base, place.column.w, place.channel.w, place.before.w, ahead); }
    return v;
}

fn unit_at(row: i32, row_base: u32, column: i32, channel: u32, before: u32, ahead: u32) -> f32 {
    let at = spot(row_base, column, channel, before, ahead);
    return select(p.fill, load1(at.scalar), at.inside && row >= 0);
}

// Where a place is read, and whether it is none that the constant stands for.
struct Spot { scalar: u32, inside: bool }

fn spot(row_base: u32, column: i32, channel: u32, before: u32, ahead: u32) -> Spot {
    let at = column + i32(ahead);
    if BORDER_LEFT == BORDER_CONSTANT && BORDER_RIGHT == BORDER_CONSTANT {
        // The way to the next place is the same everywhere.
        let inside = u32(at) < p.columns_end;
        return Spot(select(row_base, row_base + before + ahead * channels(), inside), inside);
    }
    let read = source_column(min(at, p.last_column));
    if BORDER_LEFT == BORDER_CONSTANT || BORDER_RIGHT == BORDER_CONSTANT {
        return Spot(row_base + u32(max(read, 0)) * channels() + channel, read >= 0);
    }
    return Spot(row_base + u32(read) * channels() + channel, true);
}

fn slide(w: Window, next: vec4<f32>) -> Window {
    if CHAINED {
        return slide_chain(w, next.x, VECTORS);
    }
    return slide_each(w, next);
}

// Sum m, which belongs to vector m % VECTORS, row m / VECTORS % ROWS and filter m / VECTORS / ROWS, with
// the tap added by which step t of a phase joins it. `first` is the number of the term's
// first tap plus the tap's column, `tap_row` the first row of the phase.
fn join(sum: vec4<f32>, m: u32, t: u32, tap_row: u32, first: u32, w: Window) -> vec4<f32> {
    let v = m % VECTORS;
    let row = m / VECTORS % ROWS;
    let f = m / VECTORS / ROWS;
    var joined = sum;
    let i = tap_row + (t - row) * row_phases();
    if f < FILTERS && t >= row && i < kernel_height() {
        let weight = vec4(weights[(f * kernel_height() + i) * kernel_width() + first]);
        joined = fma(weight, vector_of_window(w, v), sum);
    }
    return joined;
}

@compute @workgroup_size(WORKGROUP_X, WORKGROUP_Y)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let at = grid_place(group);
    let x = at.x * WORKGROUP_X + local.x;
    let y = at.y * WORKGROUP_Y + local.y;
    let image = at.z;
    // Places of a flat row that repeat from column to column of a block, unit by unit.
    let runs = column_spacing() * channels() / units();
    let unit = x % runs * units();
    let first_column = x / runs * (column_spacing() * block_columns());
    let first_row = y / row_spacing() * (row_spacing() * ROWS) + y % row_spacing();
    if first_column >= p.columns || first_row >= p.rows || image >= p.images {
        return;
    }

    // One by one: naga divides vectors in a way that newer HLSL refuses.
    let c = channels();
    let beyond = vec4(unit / c, (unit + 1u) / c, (unit + 2u) / c, (unit + 3u) / c);
    let columns = vec4(p.out_column + first_column) + beyond;
    let channel = vec4(unit, unit + 1u, unit + 2u, unit + 3u) - beyond * c;
    let column = vec4<i32>(columns * stride_columns()) - p.left;
    let place = Place(column, channel, vec4<u32>(column - p.src_column) * c + channel);
    let top = i32((p.out_row + first_row) * stride_rows()) - p.top;
    let image_base = p.src_base + image * p.src_image;

    let zero = vec4(0.0);
    var s = Sums(
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    );
    for (var term = 0u; term < terms(); term++) {
        let first = term * FILTERS * kernel_height() * kernel_width();
        for (var tap_row = 0u; tap_row < min(row_phases(), kernel_height()); tap_row++) {
            // Taps of this phase, and all rows of the block.
            let steps = (kernel_height() - 1u - tap_row) / row_phases() + ROWS;
            for (var t = 0u; t < steps; t++) {
                let ahead = i32((tap_row + t * row_phases()) * dilation_rows());
                let row = source_row(min(top + ahead, p.last_row));
                let base = image_base + term * p.own.src_term + u32(max(row, 0)) * p.src_pitch;
                for (var phase = 0u; phase < min(column_phases(), kernel_width()); phase++) {
                    var w = Window(zero, zero, zero, zero);
                    let entering = block_columns() - 1u;
                    for (var n = 0u; n < entering; n++) {
                        w = slide(w, units_at(row, base, place, phase + n * column_phases()));
                    }
                    for (var tap = phase; tap < kernel_width(); tap += column_phases()) {
                        w = slide(w, units_at(row, base, place, tap + entering * column_phases()));
                        s.s0 = join(s.s0, 0u, t, tap_row, first + tap, w);
                        s.s1 = join(s.s1, 1u, t, tap_row, first + tap, w);
                        s.s2 = join(s.s2, 2u, t, tap_row, first + tap, w);
                        s.s3 = join(s.s3, 3u, t, tap_row, first + tap, w);
                        s.s4 = join(s.s4, 4u, t, tap_row, first + tap, w);
                        s.s5 = join(s.s5, 5u, t, tap_row, first + tap, w);
                        s.s6 = join(s.s6, 6u, t, tap_row, first + tap, w);
                        s.s7 = join(s.s7, 7u, t, tap_row, first + tap, w);
                        s.s8 = join(s.s8, 8u, t, tap_row, first + tap, w);
                        s.s9 = join(s.s9, 9u, t, tap_row, first + tap, w);
                        s.s10 = join(s.s10, 10u, t, tap_row, first + tap, w);
                        s.s11 = join(s.s11, 11u, t, tap_row, first + tap, w);
                        s.s12 = join(s.s12, 12u, t, tap_row, first + tap, w);
                        s.s13 = join(s.s13, 13u, t, tap_row, first + tap, w);
                        s.s14 = join(s.s14, 14u, t, tap_row, first + tap, w);
                        s.s15 = join(s.s15, 15u, t, tap_row, first + tap, w);
                    }
                }
            }
        }
    }

    let bias = terms() * FILTERS * kernel_height() * kernel_width();
    let scale = bias + FILTERS;
    let matrix = scale + 1u;
    for (var r = 0u; r < ROWS; r++) {
        // Outputs of this row: that of vector v and output g stands at g * VECTORS + v.
        var y: array<vec4<f32>, 16>;
        for (var f = 0u; f < FILTERS; f++) {
            for (var v = 0u; v < VECTORS; v++) {
                let sum = sum_of(s, (f * ROWS + r) * VECTORS + v);
                let scaled = fma(sum, vec4(weights[scale]), vec4(weights[bias + f]));
                y[f * VECTORS + v] = activate4(ACTIVATION, scaled, p.activation_a, p.activation_b);
            }
        }
        if FOLLOW {
            let filtered = y;
            for (var g = 0u; g < OUTPUTS; g++) {
                for (var v = 0u; v < VECTORS; v++) {
                    var sum = vec4(weights[matrix + FILTERS * OUTPUTS + g]);
                    for (var f = 0u; f < FILTERS; f++) {
                        sum = fma(vec4(weights[matrix + f * OUTPUTS + g]), filtered[f * VECTORS + v], sum);
                    }
                    y[g * VECTORS + v] = activate4(FOLLOW_ACTIVATION, sum, p.follow_a, p.follow_b);
                }
            }
        }
        let row = first_row + r * row_spacing();
        if row < p.rows {
            store_block(image, row, first_column, unit, y);
        }
    }
}
