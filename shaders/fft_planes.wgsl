// Where the planes of tiles lie.

// What shaders of `fft` that know of planes read besides: points of a tile, its outputs of stride 1, tiles of an image,
// pairs of planes (tiles of every channel) of a row of tiles; and of fft_delta.wgsl the filter. Twin of `FftOwn` in src/plan/job/params.rs.
struct Own {
    tile_rows: u32,
    tile_columns: u32,
    valid_rows: u32,
    valid_columns: u32,
    tiles_down: u32,
    tiles_across: u32,
    pairs_across: u32,
    filter_read: u32,
}

// A plane: the image, the row of tiles and the tile in it, and the channel. Where channels are odd, the last pair of
// a row of tiles has one plane, twice.
struct PlaneOf { image: u32, down: u32, across: u32, channel: u32, there: bool }

// Plane 0 or 1 of a pair.
fn plane_of(pair: u32, second: u32) -> PlaneOf {
    let row = pair / p.own.pairs_across;
    let index = 2u * (pair % p.own.pairs_across) + second;
    let planes = p.own.tiles_across * channels();
    let at = min(index, planes - 1u);
    let image = row / p.own.tiles_down;
    return PlaneOf(image, row % p.own.tiles_down, at / channels(), at % channels(), index < planes);
}
