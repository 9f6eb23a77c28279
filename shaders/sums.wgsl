// What shaders of sums over a tensor read besides: the first part of the dispatch, and all there are; and of
// correlate.wgsl the rows of a run, the runs, and the positions of an invocation, a workgroup apart.
// Twin of `SumsOwn` in src/plan/job/params.rs.
struct Own {
    part: u32,
    parts: u32,
    run: u32,
    runs: u32,
    across: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}
