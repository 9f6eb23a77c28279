// Twin of `Border::index` in src/border.rs, and of `Sides::index` beside it.

const BORDER_CONSTANT: u32 = 1u;
const BORDER_REPLICATE: u32 = 2u;
const BORDER_REFLECT: u32 = 3u;
const BORDER_REFLECT101: u32 = 4u;
const BORDER_WRAP: u32 = 5u;

// Whether padding reaches further than one bounce, so that divisions are needed. Software adapters
// run both sides of a branch, and integer division is slow on most GPUs.
override FAR: bool = true;

// `at` modulo `n`, never negative. The remainder is taken of a number that is not negative, since
// GLSL leaves the others undefined.
fn modulo(at: i32, n: i32) -> i32 {
    let m = select(at, -1 - at, at < 0) % n;
    return select(m, n - 1 - m, at < 0);
}

// Where in 0..n position `at` of the axis continued by `border` is read; -1 for the constant. (FXC sees no way out
// of a switch whose cases return.)
fn continued(border: u32, far: bool, at: i32, n: i32) -> i32 {
    var place = select(-1, at, at >= 0 && at < n);
    switch border {
        case BORDER_REPLICATE: {
            place = clamp(at, 0, n - 1);
        }
        case BORDER_REFLECT: {
            place = select(select(at, 2 * n - 1 - at, at >= n), -1 - at, at < 0);
            if far {
                let m = modulo(at, 2 * n);
                place = min(m, 2 * n - 1 - m);
            }
        }
        case BORDER_REFLECT101: {
            place = select(select(at, 2 * n - 2 - at, at >= n), -at, at < 0);
            if far {
                let period = max(2 * n - 2, 1);
                let m = modulo(at, period);
                place = min(m, period - m);
            }
        }
        case BORDER_WRAP: {
            place = select(select(at, at - n, at >= n), at + n, at < 0);
            if far {
                place = modulo(at, n);
            }
        }
        default: {}
    }
    return place;
}

// The same where the axis is continued by one border before its first place and by another behind its last.
fn continued_by(before: u32, after: u32, far: bool, at: i32, n: i32) -> i32 {
    if before == after {
        return continued(before, far, at, n);
    }
    return continued(select(before, after, at >= n), far, at, n);
}

// Whether a constant stands for place `at`.
fn is_constant(before: u32, after: u32, at: i32, n: i32) -> bool {
    return (before == BORDER_CONSTANT && at < 0) || (after == BORDER_CONSTANT && at >= n);
}

// Row of the source buffer for row `at` of the continued input; -1 for the constant.
fn source_row(at: i32) -> i32 {
    let n = i32(p.height);
    if p.rows_continued != 0u {
        return select(at - p.src_row, -1, is_constant(BORDER_TOP, BORDER_BOTTOM, at, n));
    }
    let row = continued_by(BORDER_TOP, BORDER_BOTTOM, FAR, at, n);
    return select(row - p.src_row, -1, row < 0);
}

// Column of the source buffer for column `at` of the continued input; -1 for the constant.
fn source_column(at: i32) -> i32 {
    let n = i32(p.width);
    if p.columns_continued != 0u {
        return select(at - p.src_column, -1, is_constant(BORDER_LEFT, BORDER_RIGHT, at, n));
    }
    let column = continued_by(BORDER_LEFT, BORDER_RIGHT, FAR, at, n);
    return select(column - p.src_column, -1, column < 0);
}
