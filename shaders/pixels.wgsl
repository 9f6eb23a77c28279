// Scalars of tensors without neighbours: `images` runs of `columns` pixels, of `filters` sums or of
// `outputs` outputs each, which lie together or, if planar, in planes of their own.

// Scalar n of `of` at pixel `at` of `image`.
fn scalar(image: u32, at: u32, n: u32, of_each: u32) -> u32 {
    let interleaved = (image * p.columns + at) * of_each + n;
    let planes = (image * of_each + n) * p.columns + at;
    return select(interleaved, planes, p.planar != 0u);
}
