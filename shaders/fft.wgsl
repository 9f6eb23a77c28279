// Discrete Fourier transforms of the lines of a tile, in registers and workgroup memory:
//
//   X[f] = sum over n of x[n] * exp(-2 pi i n f / LENGTH)
//
// A workgroup has LINES lines of LENGTH points, a power of two from 32 on, and an invocation 16 points
// of one line. One step makes transforms of 16 points in registers; with m = LENGTH / 16, n = t + m k
// and f = q + 16 r (Cooley and Tukey 1965):
//
//   X[q + 16 r] = sum over t of exp(-2 pi i t r / m) * exp(-2 pi i t q / LENGTH) * x'[t, q]
//   x'[t, q]    = sum over k of exp(-2 pi i k q / 16) * x[t + m k]
//
// The blocks q, transforms of m points, are left; from m = 32 on they take one more such step.
//
// An inverse transform is a transform with real and imaginary parts swapped before and after, but for
// the factor 1 / LENGTH.
//
// Bind group 0, 3: exp(-2 pi i n / LENGTH) for n below LENGTH / 2, and then what the pass has.

override LENGTH: u32 = 256u;
override LINES: u32 = 4u;
// Whether neighbouring invocations have neighbouring lines, or neighbouring points.
override BESIDE: bool = false;

@group(0) @binding(3) var<storage, read> table: array<vec2<f32>>;

var<workgroup> exchange: array<vec2<f32>, LENGTH * LINES>;

struct Four { a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32> }

alias Points = array<vec2<f32>, 16>;

// Invocations of a line, and points of the last transforms.
fn invocations() -> u32 { return LENGTH / 16u; }
fn last() -> u32 { return select(LENGTH / 16u, LENGTH / 256u, LENGTH > 256u); }

// The invocation's line among those of the workgroup, and its place in the line.
fn line_of(local: u32) -> u32 { return select(local / invocations(), local % LINES, BESIDE); }
fn place_of(local: u32) -> u32 { return select(local % invocations(), local / LINES, BESIDE); }

// Number of the point that is value i of invocation t, before a transform and after it.
fn before(t: u32, i: u32) -> u32 { return t + invocations() * i; }
fn after(t: u32, i: u32) -> u32 {
    return t + invocations() * (i / last()) + LENGTH / last() * (i % last());
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

fn dft8(a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32>,
        e: vec2<f32>, f: vec2<f32>, g: vec2<f32>, h: vec2<f32>) -> array<vec2<f32>, 8> {
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

// Transforms of last() points each.
fn dft_last(x: Points) -> Points {
    if last() == 16u {
        return dft16(x);
    }
    if last() == 8u {
        let a = dft8(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
        let b = dft8(x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15]);
        return Points(
            a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
        );
    }
    if last() == 4u {
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

// Value q times exp(-2 pi i step q / LENGTH); step is below LENGTH / 16.
fn turn(x: Points, step: u32) -> Points {
    let w1 = table[step];
    let w2 = table[2u * step];
    let w4 = table[4u * step];
    let w8 = table[8u * step];
    let w3 = times(w1, w2);
    let w5 = times(w1, w4);
    let w6 = times(w2, w4);
    let w7 = times(w3, w4);
    return Points(
        x[0], times(x[1], w1), times(x[2], w2), times(x[3], w3),
        times(x[4], w4), times(x[5], w5), times(x[6], w6), times(x[7], w7),
        times(x[8], w8), times(x[9], times(w1, w8)), times(x[10], times(w2, w8)), times(x[11], times(w3, w8)),
        times(x[12], times(w4, w8)), times(x[13], times(w5, w8)), times(x[14], times(w6, w8)),
        times(x[15], times(w7, w8)),
    );
}

// Where point `at` of a block of `size` points lies in workgroup memory. Blocks are shuffled, so that
// neighbouring invocations that read the same point of neighbouring blocks meet different banks.
fn spot(line: u32, block: u32, size: u32, at: u32) -> u32 {
    let point = block * size + (at ^ (block & min(size - 1u, 15u)));
    return select(line * LENGTH + point, point * LINES + line, BESIDE);
}

// Value i becomes point `at` of block `first + step i`.
fn put(x: Points, line: u32, first: u32, step: u32, size: u32, at: u32) {
    workgroupBarrier();
    exchange[spot(line, first, size, at)] = x[0];
    exchange[spot(line, first + step, size, at)] = x[1];
    exchange[spot(line, first + step * 2u, size, at)] = x[2];
    exchange[spot(line, first + step * 3u, size, at)] = x[3];
    exchange[spot(line, first + step * 4u, size, at)] = x[4];
    exchange[spot(line, first + step * 5u, size, at)] = x[5];
    exchange[spot(line, first + step * 6u, size, at)] = x[6];
    exchange[spot(line, first + step * 7u, size, at)] = x[7];
    exchange[spot(line, first + step * 8u, size, at)] = x[8];
    exchange[spot(line, first + step * 9u, size, at)] = x[9];
    exchange[spot(line, first + step * 10u, size, at)] = x[10];
    exchange[spot(line, first + step * 11u, size, at)] = x[11];
    exchange[spot(line, first + step * 12u, size, at)] = x[12];
    exchange[spot(line, first + step * 13u, size, at)] = x[13];
    exchange[spot(line, first + step * 14u, size, at)] = x[14];
    exchange[spot(line, first + step * 15u, size, at)] = x[15];
    workgroupBarrier();
}

// Value i: point `at + every (i % points)` of block `first + step (i / points)`.
struct Taking { line: u32, first: u32, step: u32, size: u32, at: u32, every: u32, points: u32 }

fn taken(it: Taking, i: u32) -> vec2<f32> {
    let block = it.first + it.step * (i / it.points);
    return exchange[spot(it.line, block, it.size, it.at + it.every * (i % it.points))];
}

fn take(it: Taking) -> Points {
    return Points(
        taken(it, 0u), taken(it, 1u), taken(it, 2u), taken(it, 3u),
        taken(it, 4u), taken(it, 5u), taken(it, 6u), taken(it, 7u),
        taken(it, 8u), taken(it, 9u), taken(it, 10u), taken(it, 11u),
        taken(it, 12u), taken(it, 13u), taken(it, 14u), taken(it, 15u),
    );
}

// The transform of a line, called by all invocations of the workgroup. Value i of invocation t is point
// before(t, i), and in what it gives, after(t, i).
fn transform(x: Points, line: u32, t: u32) -> Points {
    let m = invocations();
    put(turn(dft16(x), t), line, 0u, 1u, m, t);
    if m > 16u {
        let size = m / 16u;
        let q = t / size;
        let s = t % size;
        let y = take(Taking(line, q, 0u, m, s, size, 16u));
        put(turn(dft16(y), 16u * s), line, q, 16u, size, s);
    }
    return dft_last(take(Taking(line, t, m, last(), 0u, 1u, last())));
}

// What a transform gave, in the order before one.
fn in_order(x: Points, line: u32, t: u32) -> Points {
    if last() == 16u {
        return x;
    }
    workgroupBarrier();
    exchange[spot(line, 0u, LENGTH, after(t, 0u))] = x[0];
    exchange[spot(line, 0u, LENGTH, after(t, 1u))] = x[1];
    exchange[spot(line, 0u, LENGTH, after(t, 2u))] = x[2];
    exchange[spot(line, 0u, LENGTH, after(t, 3u))] = x[3];
    exchange[spot(line, 0u, LENGTH, after(t, 4u))] = x[4];
    exchange[spot(line, 0u, LENGTH, after(t, 5u))] = x[5];
    exchange[spot(line, 0u, LENGTH, after(t, 6u))] = x[6];
    exchange[spot(line, 0u, LENGTH, after(t, 7u))] = x[7];
    exchange[spot(line, 0u, LENGTH, after(t, 8u))] = x[8];
    exchange[spot(line, 0u, LENGTH, after(t, 9u))] = x[9];
    exchange[spot(line, 0u, LENGTH, after(t, 10u))] = x[10];
    exchange[spot(line, 0u, LENGTH, after(t, 11u))] = x[11];
    exchange[spot(line, 0u, LENGTH, after(t, 12u))] = x[12];
    exchange[spot(line, 0u, LENGTH, after(t, 13u))] = x[13];
    exchange[spot(line, 0u, LENGTH, after(t, 14u))] = x[14];
    exchange[spot(line, 0u, LENGTH, after(t, 15u))] = x[15];
    workgroupBarrier();
    return take(Taking(line, 0u, 0u, LENGTH, t, invocations(), 16u));
}
