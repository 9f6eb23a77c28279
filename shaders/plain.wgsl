// For shaders that read nothing besides what all do.
struct Own { unused_0: vec4<u32>, unused_1: vec4<u32> }
