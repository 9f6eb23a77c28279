// The adjoint of a convolution with a stride or several filters, phase by phase.
//
// Along an axis with stride s and dilation d, output place P, counted from the padding's start, sums tap i of
// input (P - i d) / s, where that is whole. A cell is s outputs beside each other, from a multiple of s on.
// Place k of cell m has P = (m + before / s) s + lo, where lo = before % s + k, and tap i of it meets input
//
//   m + before / s + (lo - i d) / s.
//
// So place k of all cells meets the same taps, a phase, at inputs beside each other. An invocation makes
// PHASE_ROWS by PHASE_COLUMNS places of
//
//   four cells across, a spacing apart, one in each lane of a vector,
//   UNITS      neighbouring scalars of the flat row, as many as fill words of a packed destination,
//   ROWS       cells down, a spacing apart.
//
// With d = 1 places beside each other meet inputs beside each other: it goes from the first input that any of
// its places meets to the last, and each input joins every place that it has a tap for. Otherwise it makes one
// place, whose taps are `apart` = s / g apart, and their inputs `spacing` = d / g, with g = gcd(s, d). Either
// way input n of cell m is input n + 1 of the cell a spacing before it, so that a window slides along the
// source, and rows are read once for all cells of the block.
//
// src has `filters` scalars for each channel, each with taps of its own, whose sums are added; height and width
// are its size. Beyond it there is nothing to add. Taps: [filters, kernel_height, kernel_width].
//
// Grid: x over blocks of cells, and units within; y over blocks of rows of cells, for each group of phases; z over images.

// What it reads besides: distance of a block's cells, taps from one of a phase to the next, what finds the first
// one of a phase, and blocks of rows. Twin of `PhasesOwn` in src/plan/job/params.rs.
struct Own {
    row_spacing: u32,
    column_spacing: u32,
    row_apart: u32,
    column_apart: u32,
    row_turn: u32,
    column_turn: u32,
    row_blocks: u32,
    unused: u32,
}

override UNITS: u32 = 1u;
override ROWS: u32 = 1u;
override PHASE_ROWS: u32 = 1u;
override PHASE_COLUMNS: u32 = 1u;
// Whether the units are read as one word of four.
override WORDS: bool = false;
// Sizes, and padding modulo the stride. All of them are read from the parameters where FILTERS is 0.
override FILTERS: u32 = 0u;
override ROW_SPACING: u32 = 1u;
override COLUMN_SPACING: u32 = 1u;
override ROW_APART: u32 = 1u;
override COLUMN_APART: u32 = 1u;
override ROW_BEFORE: u32 = 0u;
override COLUMN_BEFORE: u32 = 0u;

fn filters() -> u32 { return select(FILTERS, p.filters, FILTERS == 0u); }
fn row_spacing() -> u32 { return select(ROW_SPACING, p.own.row_spacing, FILTERS == 0u); }
fn column_spacing() -> u32 { return select(COLUMN_SPACING, p.own.column_spacing, FILTERS == 0u); }
fn row_apart() -> u32 { return select(ROW_APART, p.own.row_apart, FILTERS == 0u); }
fn column_apart() -> u32 { return select(COLUMN_APART, p.own.column_apart, FILTERS == 0u); }
fn row_before() -> u32 { return select(ROW_BEFORE, u32(p.top) % stride_rows(), FILTERS == 0u); }
fn column_before() -> u32 { return select(COLUMN_BEFORE, u32(p.left) % stride_columns(), FILTERS == 0u); }

// What the places of a cell meet along an axis.
struct Steps {
    // The first input, seen from the one that lies where the cell does, and how many a spacing apart.
    first: i32,
    count: u32,
    // The tap by which the first one joins the first place; that of the next place is the next one, and
    // that of the next input lies `apart` before.
    tap: i32,
}

// Of `places` from the one with this `lo` on.
fn steps_of(
    lo: i32, places: i32, taps: i32, stride: i32, dilation: i32, spacing: i32, apart: i32, turn: i32,
) -> Steps {
    if dilation == 1 {
        // Rounded up, and down.
        let short = lo - (taps - 1);
        let first = select(-(-short / stride), (short + stride - 1) / stride, short > 0);
        let last = (lo + places - 1) / stride;
        return Steps(first, u32(max(last - first + 1, 0)), lo - first * stride);
    }
    let divisor = dilation / spacing;
    let tap = lo / divisor % apart * turn % apart;
    if lo % divisor != 0 || tap >= taps {
        return Steps(0, 0u, 0);
    }
    let count = (taps - 1 - tap) / apart + 1;
    let last_tap = tap + (count - 1) * apart;
    // Whole, whatever its sign.
    let back = last_tap * dilation - lo;
    return Steps(select(-back / stride, -(back / stride), back > 0), u32(count), last_tap);
}

// Units 0 to 3 of a source row at a column of the source; 0 where it has none.
fn units_at(row_base: u32, column: i32) -> vec4<f32> {
    let inside = column >= p.src_column && column <= p.last_column;
    let scalar = row_base + u32(max(column - p.src_column, 0)) * pixel();
    let at = select(row_base, scalar, inside);
    var v = vec4(0.0);
    if WORDS {
        v = load4(at);
    } else {
        v.x = load1(at);
        if UNITS > 1u { v.y = load1(at + next_channel()); }
        if UNITS > 2u { v.z = load1(at + 2u * next_channel()); }
        if UNITS > 3u { v.w = load1(at + 3u * next_channel()); }
    }
    return select(vec4(0.0), v, inside);
}

// Scalars of the source from one channel to the next, and from one pixel to the next.
fn next_channel() -> u32 { return select(filters(), 1u, p.planar != 0u); }
fn pixel() -> u32 { return channels() * next_channel(); }

// Sum m, which belongs to unit m % UNITS, row m / UNITS % ROWS, and place m / UNITS / ROWS of the cell, row by row,
// with the tap added by which step t down and step u across join it.
fn join(sum: vec4<f32>, m: u32, t: u32, u: u32, rows: Steps, columns: Steps, filter_taps: u32, w: Window) -> vec4<f32> {
    let unit = m % UNITS;
    let row = m / UNITS % ROWS;
    let place = m / UNITS / ROWS;
    var joined = sum;
    // Negative, or too large, where there is none.
    let i = rows.tap + i32(place / PHASE_COLUMNS) - (i32(t) - i32(row)) * i32(row_apart());
    let j = columns.tap + i32(place % PHASE_COLUMNS) - i32(u) * i32(column_apart());
    if place < PHASE_ROWS * PHASE_COLUMNS && u32(i) < kernel_height() && u32(j) < kernel_width() {
        let weight = vec4(weights[filter_taps + u32(i) * kernel_width() + u32(j)]);
        joined = fma(weight, vector_of_window(w, unit), sum);
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
    let sh = stride_rows();
    let sw = stride_columns();
    let groups_down = (sh + PHASE_ROWS - 1u) / PHASE_ROWS;
    let groups_across = (sw + PHASE_COLUMNS - 1u) / PHASE_COLUMNS;
    let phases = y / p.own.row_blocks;
    let block = y % p.own.row_blocks;
    // Where one invocation makes all places, that is known when it is compiled.
    let place_row = select(phases / groups_across * PHASE_ROWS, 0u, groups_down == 1u);
    let place_column = select(phases % groups_across * PHASE_COLUMNS, 0u, groups_across == 1u);
    // Places of a flat row of cells that repeat from cell to cell of a block, unit by unit.
    let runs = column_spacing() * channels() / UNITS;
    let unit = x % runs * UNITS;
    let channel = unit % channels();
    let cell_column = x / runs * (column_spacing() * 4u) + unit / channels();
    let cell_row = block / row_spacing() * (row_spacing() * ROWS) + block % row_spacing();
    if cell_column * sw >= p.columns || cell_row * sh >= p.rows || phases >= groups_down * groups_across || image >= p.images {
        return;
    }

    let rows = steps_of(
        i32(row_before() + place_row), i32(PHASE_ROWS), i32(kernel_height()), i32(sh),
        i32(dilation_rows()), i32(row_spacing()), i32(row_apart()), i32(p.own.row_turn),
    );
    let columns = steps_of(
        i32(column_before() + place_column), i32(PHASE_COLUMNS), i32(kernel_width()), i32(sw),
        i32(dilation_columns()), i32(column_spacing()), i32(column_apart()), i32(p.own.column_turn),
    );
    // Bands begin with a cell.
    let first_row = i32(p.out_row / sh + u32(p.top) / sh + cell_row) + rows.first;
    let first_column = i32(p.out_column / sw + u32(p.left) / sw + cell_column) + columns.first;
    let next_filter = select(1u, p.src_image / p.filters, p.planar != 0u);
    let image_base = p.src_base + image * p.src_image + channel * next_channel();

    let zero = vec4(0.0);
    var s = Sums(
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    );
    let steps_down = select(rows.count + ROWS - 1u, 0u, rows.count == 0u || columns.count == 0u);
    for (var f = 0u; f < filters(); f++) {
        let taps = f * kernel_height() * kernel_width();
        for (var t = 0u; t < steps_down; t++) {
            let row = first_row + i32(t * row_spacing());
            if row < p.src_row || row > p.last_row {
                continue;
            }
            let base = image_base + f * next_filter + u32(row - p.src_row) * p.src_pitch;
            var w = Window(zero, zero, zero, zero);
            for (var n = 0u; n < 3u; n++) {
                w = slide_each(w, units_at(base, first_column + i32(n * column_spacing())));
            }
            for (var u = 0u; u < columns.count; u++) {
                w = slide_each(w, units_at(base, first_column + i32((u + 3u) * column_spacing())));
                s.s0 = join(s.s0, 0u, t, u, rows, columns, taps, w);
                s.s1 = join(s.s1, 1u, t, u, rows, columns, taps, w);
                s.s2 = join(s.s2, 2u, t, u, rows, columns, taps, w);
                s.s3 = join(s.s3, 3u, t, u, rows, columns, taps, w);
                s.s4 = join(s.s4, 4u, t, u, rows, columns, taps, w);
                s.s5 = join(s.s5, 5u, t, u, rows, columns, taps, w);
                s.s6 = join(s.s6, 6u, t, u, rows, columns, taps, w);
                s.s7 = join(s.s7, 7u, t, u, rows, columns, taps, w);
                s.s8 = join(s.s8, 8u, t, u, rows, columns, taps, w);
                s.s9 = join(s.s9, 9u, t, u, rows, columns, taps, w);
                s.s10 = join(s.s10, 10u, t, u, rows, columns, taps, w);
                s.s11 = join(s.s11, 11u, t, u, rows, columns, taps, w);
                s.s12 = join(s.s12, 12u, t, u, rows, columns, taps, w);
                s.s13 = join(s.s13, 13u, t, u, rows, columns, taps, w);
                s.s14 = join(s.s14, 14u, t, u, rows, columns, taps, w);
                s.s15 = join(s.s15, 15u, t, u, rows, columns, taps, w);
            }
        }
    }

    for (var a = 0u; a < PHASE_ROWS; a++) {
        for (var r = 0u; r < ROWS; r++) {
            // Place b of the row, unit v, stands at b * UNITS + v.
            var y: array<vec4<f32>, 16>;
            for (var b = 0u; b < PHASE_COLUMNS; b++) {
                for (var v = 0u; v < UNITS; v++) {
                    y[b * UNITS + v] = sum_of(s, ((a * PHASE_COLUMNS + b) * ROWS + r) * UNITS + v);
                }
            }
            let row = (cell_row + r * row_spacing()) * sh + place_row + a;
            if row < p.rows && place_row + a < sh {
                store_places(image, row, cell_column * sw, place_column, channel, y);
            }
        }
    }
}
