// A copy by vectors of four words: the most that a shader moves. An invocation owns one vector; the grid
// folds along y past 65535 workgroups.

@group(0) @binding(0) var<storage, read> original: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4<u32>>;

const INVOCATIONS = 256u;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = (group.y * groups.x + group.x) * INVOCATIONS + lane;
    if (at < arrayLength(&copied)) {
        copied[at] = original[at];
    }
}
