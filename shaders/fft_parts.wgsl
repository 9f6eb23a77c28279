// What shaders of the sums of products of spectra read besides: points of a tile, pairs of planes of a band, those of a
// part, rows of outputs of a tile, the first complex number of the gradient's rows, the first part, and parts of all
// filters. Twin of `ProductsOwn` in src/plan/job/params.rs.
struct Own {
    tile_rows: u32,
    tile_columns: u32,
    pairs: u32,
    run: u32,
    kept: u32,
    delta: u32,
    part: u32,
    parts: u32,
}
