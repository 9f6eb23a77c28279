// Tiles that a workgroup has whole: LINES rows of LENGTH columns, which lie in workgroup memory all at once.
//
// The table begins with the turns of the longer of the two.

// Points of the last step of a column.
override LAST_DOWN: u32 = 8u;

fn rows() -> Lines { return Lines(LENGTH, LINES, LAST, BESIDE, max(LINES / LENGTH, 1u)); }
fn columns() -> Lines { return Lines(LINES, LENGTH, LAST_DOWN, !BESIDE, max(LENGTH / LINES, 1u)); }

// Entries of the table before what follows the turns.
fn turns() -> u32 { return max(LENGTH, LINES) / 2u; }

// Where a point lies on its way from rows to columns or back. Rows are shuffled by eights: neighbouring invocations
// have some points of a few rows on one side and of many columns on the other, and meet different banks on both.
fn crossing(row: u32, column: u32) -> u32 {
    return row * LENGTH + (column ^ (8u * row % LENGTH));
}

// What transforms of rows gave, as columns before a transform.
fn crossed(points: Points, local: u32) -> Points {
    let row = line_of(rows(), local);
    let t = place_of(rows(), local);
    let column = line_of(columns(), local);
    let u = place_of(columns(), local);
    var x = points;
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        exchange[crossing(row, after(rows(), t, i))] = x[i];
    }
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        x[i] = exchange[crossing(before(columns(), u, i), column)];
    }
    return x;
}

// The same from columns to rows.
fn crossed_back(points: Points, local: u32) -> Points {
    let row = line_of(rows(), local);
    let t = place_of(rows(), local);
    let column = line_of(columns(), local);
    let u = place_of(columns(), local);
    var x = points;
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        exchange[crossing(after(columns(), u, i), column)] = x[i];
    }
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        x[i] = exchange[crossing(row, before(rows(), t, i))];
    }
    return x;
}

// The transform of a tile, from rows to columns: value i of an invocation is then point `before(columns(), u, i)`.
fn tile_transform(points: Points, local: u32) -> Points {
    let rows_done = transform(rows(), points, line_of(rows(), local), place_of(rows(), local));
    let column = line_of(columns(), local);
    let u = place_of(columns(), local);
    return in_order(columns(), transform(columns(), crossed(rows_done, local), column, u), column, u);
}
