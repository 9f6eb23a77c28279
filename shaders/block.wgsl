// What an invocation keeps in registers while it goes through its source.

// Its sums, of four columns each. They are fields and not an array, because compilers keep an array in memory
// unless they unroll every loop over it. Twin of MAX_SUMS in src/plan/flat.rs and src/plan/phases.rs.
struct Sums {
    s0: vec4<f32>, s1: vec4<f32>, s2: vec4<f32>, s3: vec4<f32>,
    s4: vec4<f32>, s5: vec4<f32>, s6: vec4<f32>, s7: vec4<f32>,
    s8: vec4<f32>, s9: vec4<f32>, s10: vec4<f32>, s11: vec4<f32>,
    s12: vec4<f32>, s13: vec4<f32>, s14: vec4<f32>, s15: vec4<f32>,
}

// Sum m. As with the fields, an array would lie in memory where the loop over rows is not unrolled.
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
        default: {}
    }
    return sum;
}
