// What four vectors of columns meet of a source row: it slides along, a column at a step.

struct Window { u0: vec4<f32>, u1: vec4<f32>, u2: vec4<f32>, u3: vec4<f32> }

// Each vector by the scalar of its own that comes next.
fn slide_each(w: Window, next: vec4<f32>) -> Window {
    return Window(
        vec4(w.u0.yzw, next.x), vec4(w.u1.yzw, next.y), vec4(w.u2.yzw, next.z), vec4(w.u3.yzw, next.w),
    );
}

// So many vectors that go on from one another, by the one scalar that comes next.
fn slide_chain(w: Window, next: f32, vectors: u32) -> Window {
    let enters = vec4(
        select(w.u1.x, next, vectors == 1u), select(w.u2.x, next, vectors == 2u),
        select(w.u3.x, next, vectors == 3u), next,
    );
    return slide_each(w, enters);
}

fn vector_of_window(w: Window, v: u32) -> vec4<f32> {
    let low = select(w.u0, w.u1, v == 1u);
    let high = select(w.u2, w.u3, v == 3u);
    return select(low, high, v > 1u);
}
