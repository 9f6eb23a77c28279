// Discrete Fourier transforms of the lines of a tile, in registers and workgroup memory:
//
//   X[f] = sum over n of x[n] * exp(-2 pi i n f / LENGTH)
//
// A workgroup has LINES lines of LENGTH points, a power of two, and an invocation POINTS (P) points of one
// line. A step makes transforms of P points in registers; with m = LENGTH / P, n = t + m k and
// f = q + P r (Cooley and Tukey 1965):
//
//   X[q + P r] = sum over t of exp(-2 pi i t r / m) * exp(-2 pi i t q / LENGTH) * x'[t, q]
//   x'[t, q]   = sum over k of exp(-2 pi i k q / P) * x[t + m k]
//
// That leaves P blocks q, transforms of m points each, and so on until P points or less are left.
//
// An inverse transform is a transform with real and imaginary parts swapped before and after, but for
// the factor 1 / LENGTH.
//
// Bind group 0, 3: exp(-2 pi i n / LENGTH) for n below LENGTH / 2, and then what the pass has. (Of tiles whose rows and
// columns are transformed in one pass, those of the longer of the two.)

override LENGTH: u32 = 256u;
override LINES: u32 = 4u;
// Their product: naga 30 panics on overrides that follow an array whose size is an expression of them.
override EXCHANGED: u32 = 1024u;
// 8 or 16.
override POINTS: u32 = 16u;
// Points of the last step.
override LAST: u32 = 16u;
// Whether neighbouring invocations have neighbouring lines, or neighbouring points.
override BESIDE: bool = false;

// Lines of a workgroup, in one of its directions: their points, how many there are, the points of the last step,
// and whether neighbouring invocations have neighbouring lines. `every`: from one turn in the table to the next.
// Constants all, which compilers take into what they are handed to.
struct Lines { length: u32, count: u32, last: u32, beside: bool, every: u32 }

fn lines() -> Lines { return Lines(LENGTH, LINES, LAST, BESIDE, 1u); }

@group(0) @binding(3) var<storage, read> table: array<vec2<f32>>;

var<workgroup> exchange: array<vec2<f32>, EXCHANGED>;

struct Four { a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32> }

// The values of an invocation. Where POINTS is 8, only the first 8 count.
alias Points = array<vec2<f32>, 16>;

// Invocations of a line.
fn invocations(along: Lines) -> u32 { return along.length / POINTS; }

// The invocation's line among those of the workgroup, and its place in the line.
fn line_of(along: Lines, local: u32) -> u32 {
    return select(local / invocations(along), local % along.count, along.beside);
}
fn place_of(along: Lines, local: u32) -> u32 {
    return select(local % invocations(along), local / along.count, along.beside);
}

// Number of the point that is value i of invocation t, before a transform and after it.
fn before(along: Lines, t: u32, i: u32) -> u32 { return t + invocations(along) * i; }
fn after(along: Lines, t: u32, i: u32) -> u32 {
    return t + invocations(along) * (i / along.last) + along.length / along.last * (i % along.last);
}

fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2(fma(a.x, b.x, -(a.y * b.y)), fma(a.x, b.y, a.y * b.x));
}

fn dft4(a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32>) -> Four {
    let even = a + c;
    let odd = b + d;
    let left = a - c;
    let turned = vec2(b.y - d.y, d.x - b.x);
    return Four(even + odd, left + turned, even - odd, left - turned);
}

// exp(-2 pi i n / 16), n = 1, 2, 3.
const W1 = vec2(0.923879532511286756, -0.382683432365089772);
const W2 = vec2(0.707106781186547524, -0.707106781186547524);
const W3 = vec2(0.382683432365089772, -0.923879532511286756);

fn dft8(
    a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32>,
    e: vec2<f32>, f: vec2<f32>, g: vec2<f32>, h: vec2<f32>,
) -> array<vec2<f32>, 8> {
    let u = dft4(a, c, e, g);
    let v = dft4(b, d, f, h);
    let vb = times(v.b, W2);
    let vc = vec2(v.c.y, -v.c.x);
    let vd = times(v.d, vec2(-W2.x, W2.y));
    return array(u.a + v.a, u.b + vb, u.c + vc, u.d + vd, u.a - v.a, u.b - vb, u.c - vc, u.d - vd);
}

fn dft16(x: Points) -> Points {
    let a = dft4(x[0], x[4], x[8], x[12]);
    let b = dft4(x[1], x[5], x[9], x[13]);
    let c = dft4(x[2], x[6], x[10], x[14]);
    let d = dft4(x[3], x[7], x[11], x[15]);
    let e = dft4(a.a, b.a, c.a, d.a);
    let f = dft4(a.b, times(b.b, W1), times(c.b, W2), times(d.b, W3));
    let g = dft4(a.c, times(b.c, W2), vec2(c.c.y, -c.c.x), times(d.c, vec2(-W2.x, W2.y)));
    let h = dft4(a.d, times(b.d, W3), times(c.d, vec2(-W2.x, W2.y)), times(d.d, -W1));
    return Points(
        e.a, f.a, g.a, h.a, e.b, f.b, g.b, h.b, e.c, f.c, g.c, h.c, e.d, f.d, g.d, h.d,
    );
}

// Transforms of `size` points each, of values that follow one another.
fn dft(x: Points, size: u32) -> Points {
    let zero = vec2(0.0);
    if size == 16u {
        return dft16(x);
    }
    if size == 8u {
        let a = dft8(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
        if POINTS == 8u {
            return Points(
                a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], zero, zero, zero, zero, zero, zero, zero, zero,
            );
        }
        let b = dft8(x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15]);
        return Points(
            a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
        );
    }
    if size == 4u {
        let a = dft4(x[0], x[1], x[2], x[3]);
        let b = dft4(x[4], x[5], x[6], x[7]);
        let c = dft4(x[8], x[9], x[10], x[11]);
        let d = dft4(x[12], x[13], x[14], x[15]);
        return Points(
            a.a, a.b, a.c, a.d, b.a, b.b, b.c, b.d, c.a, c.b, c.c, c.d, d.a, d.b, d.c, d.d,
        );
    }
    return Points(
        x[0] + x[1], x[0] - x[1], x[2] + x[3], x[2] - x[3], x[4] + x[5], x[4] - x[5], x[6] + x[7], x[6] - x[7],
        x[8] + x[9], x[8] - x[9], x[10] + x[11], x[10] - x[11], x[12] + x[13], x[12] - x[13], x[14] + x[15],
        x[14] - x[15],
    );
}

// Value q times exp(-2 pi i n q / LENGTH); POINTS times n is below LENGTH.
fn turn(x: Points, n: u32) -> Points {
    let w1 = table[n];
    let w2 = table[2u * n];
    let w4 = table[4u * n];
    let w3 = times(w1, w2);
    let w5 = times(w1, w4);
    let w6 = times(w2, w4);
    let w7 = times(w3, w4);
    let zero = vec2(0.0);
    let low = array(
        x[0], times(x[1], w1), times(x[2], w2), times(x[3], w3),
        times(x[4], w4), times(x[5], w5), times(x[6], w6), times(x[7], w7),
    );
    if POINTS == 8u {
        return Points(
            low[0], low[1], low[2], low[3], low[4], low[5], low[6], low[7],
            zero, zero, zero, zero, zero, zero, zero, zero,
        );
    }
    let w8 = table[8u * n];
    return Points(
        low[0], low[1], low[2], low[3], low[4], low[5], low[6], low[7],
        times(x[8], w8), times(x[9], times(w1, w8)), times(x[10], times(w2, w8)), times(x[11], times(w3, w8)),
        times(x[12], times(w4, w8)), times(x[13], times(w5, w8)), times(x[14], times(w6, w8)),
        times(x[15], times(w7, w8)),
    );
}

// Where point `at` of a block of `size` points lies in workgroup memory. Blocks are shuffled, so that
// neighbouring invocations that read the same point of neighbouring blocks meet different banks.
fn spot(along: Lines, line: u32, block: u32, size: u32, at: u32) -> u32 {
    let point = block * size + (at ^ (block & min(size - 1u, 15u)));
    return select(line * along.length + point, point * along.count + line, along.beside);
}

// Where something is put or taken: value i is point `at + every (i % points)` of block
// `first + step (i / points)`, of blocks of `size` points.
struct Spots { line: u32, first: u32, step: u32, size: u32, at: u32, every: u32, points: u32 }

fn spot_of(along: Lines, spots: Spots, i: u32) -> u32 {
    let block = spots.first + spots.step * (i / spots.points);
    return spot(along, spots.line, block, spots.size, spots.at + spots.every * (i % spots.points));
}

fn put(along: Lines, points: Points, spots: Spots) {
    var x = points;
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        exchange[spot_of(along, spots, i)] = x[i];
    }
    workgroupBarrier();
}

fn take(along: Lines, spots: Spots) -> Points {
    var x: Points;
    for (var i = 0u; i < POINTS; i++) {
        x[i] = exchange[spot_of(along, spots, i)];
    }
    return x;
}

// A step: from `blocks` blocks to POINTS times as many, and the values of the next step.
fn step_from(along: Lines, x: Points, line: u32, t: u32, blocks: u32) -> Points {
    let size = along.length / blocks / POINTS;
    let at = t % size;
    let turned = turn(dft(x, POINTS), along.every * blocks * at);
    put(along, turned, Spots(line, t / size, blocks, size, at, 0u, 1u));
    if size > POINTS {
        let every = size / POINTS;
        return take(along, Spots(line, t / every, 0u, size, t % every, every, POINTS));
    }
    return take(along, Spots(line, t, invocations(along), along.last, 0u, 1u, along.last));
}

// The transform of a line, called by all invocations of the workgroup. Value i of invocation t is point
// before(along, t, i), and in what it gives, after(along, t, i).
fn transform(along: Lines, start: Points, line: u32, t: u32) -> Points {
    var x = step_from(along, start, line, t, 1u);
    if along.length > POINTS * POINTS {
        x = step_from(along, x, line, t, POINTS);
    }
    if along.length > POINTS * POINTS * POINTS {
        x = step_from(along, x, line, t, POINTS * POINTS);
    }
    return dft(x, along.last);
}

// What a transform gave, in the order before one.
fn in_order(along: Lines, x: Points, line: u32, t: u32) -> Points {
    if along.last == POINTS {
        return x;
    }
    var y = x;
    workgroupBarrier();
    for (var i = 0u; i < POINTS; i++) {
        exchange[spot(along, line, 0u, along.length, after(along, t, i))] = y[i];
    }
    workgroupBarrier();
    return take(along, Spots(line, 0u, 0u, along.length, t, invocations(along), POINTS));
}
