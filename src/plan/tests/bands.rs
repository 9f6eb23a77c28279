//! Bands that cover everything once and hold what it needs.

use super::*;
use crate::plan::bands::{Budget, cut};
use crate::{Border, Borders, Sides};

/// Problems whose bands are awkward: halos, far borders, strides, planes.
pub(crate) fn awkward() -> Vec<Problem> {
    let mut all = Vec::new();
    let single =
        [Border::ZERO, Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap];
    let mixed = [
        Borders::from((Border::Replicate, Border::Wrap)),
        Borders::from((Border::Wrap, Border::ZERO)),
        Borders::sides(Border::ZERO, Border::Reflect, Border::Wrap, Border::Replicate),
        Borders::sides(Border::Reflect101, Border::ZERO, Border::ZERO, Border::Wrap),
    ];
    for border in single.map(Borders::from).into_iter().chain(mixed) {
        let same = Conv2d::new(kernel(5, 3, 1)).border(border);
        all.push(problem(&same, [3, 37, 29, 3], F32, F32));
        all.push(problem(&same.clone().stride(3, 2).dilation(2, 3), [2, 37, 29, 4], F32, U8));
        all.push(problem(
            &same.clone().stride(20, 1).padding(Padding::Valid),
            [9, 37, 8, 1],
            F32,
            F32,
        ));
        all.push(problem(&same.clone().padding(Padding::all(40)), [1, 9, 7, 2], F32, F32));
        all.push(problem(&same.clone().layout(Layout::Nchw), [2, 3, 30, 20], U8, U8));
        let two = Conv2d::new(kernel(4, 4, 2)).border(border).layout(Layout::Nchw);
        let mix = Pointwise::new(2, 3, vec![1.0; 6]).unwrap();
        all.push(problem(
            &two.activation(Activation::Relu).pointwise(mix),
            [1, 2, 21, 23],
            F32,
            F32,
        ));
    }
    all
}

fn span_holds(span: &Span, at: isize, n: usize, border: Sides) -> bool {
    let range = span.first..span.first + span.len as isize;
    if span.continued {
        return range.contains(&at);
    }
    assert!(range.start >= 0 && range.end <= n as isize, "{span:?} of {n}");
    border.index(at, n).is_none_or(|inside| range.contains(&(inside as isize)))
}

#[test]
fn bands_cover_every_output_once_and_hold_what_it_needs() {
    for problem in awkward() {
        let g = problem.geometry();
        let mut cuts = 0;
        let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
        let planned = |algorithm| choose(&problem, &machine, algorithm).ok();
        let schemes: Vec<Scheme> = [Algorithm::Flat, Algorithm::Separable, Algorithm::Fft]
            .into_iter()
            .filter_map(planned)
            .map(|plan| match plan.launch() {
                Launch::Gpu(launch) => launch.scheme.clone(),
                Launch::Cpu(_) => panic!("{plan}"),
            })
            .collect();
        for bytes in [800, 1200, 2000, 4000, 20_000, 1 << 20] {
            let scheme = &schemes[bytes as usize / 400 % schemes.len()];
            let between =
                |band: &Band| scheme.between(&problem, band).into_iter().fold(0, u64::max);
            let budget = Budget {
                bytes,
                textures: false,
                work: 1 << 20,
                per_place: 15,
                pitch: 4,
                granule: 1,
                tile: (1, 1),
                between: &between,
            };
            let Ok(bands) = cut(&problem, budget) else { continue };
            cuts = cuts.max(bands.len());
            for band in &bands {
                // In the caller's buffer a band is bound from its first row to its last.
                let rows = &band.source_rows;
                let span = (band.images.len() - 1) * g.image() + rows.len * g.row();
                let span = (span * problem.input_type().bytes()) as u64;
                for between in scheme.between(&problem, band) {
                    assert!(between <= bytes, "{problem}: {between} bytes for {band:?}");
                }
                let whole = band.source_columns.len == g.width && !rows.continued;
                assert!(!whole || span <= bytes, "{problem}: {span} bytes for {band:?}");
            }
            let mut seen = vec![0u8; g.images * g.out_height * g.out_width];
            for band in &bands {
                for image in band.images.clone() {
                    for r in band.rows.clone() {
                        for q in band.columns.clone() {
                            seen[(image * g.out_height + r) * g.out_width + q] += 1;
                            for i in 0..g.kernel.0 {
                                let at = g.first_row(r) + (i * g.dilation.0) as isize;
                                let held = span_holds(
                                    &band.source_rows,
                                    at,
                                    g.height,
                                    problem.border().rows(),
                                );
                                assert!(held, "{problem}: row {at} of {band:?}");
                            }
                            for j in 0..g.kernel.1 {
                                let at = g.first_column(q) + (j * g.dilation.1) as isize;
                                let held = span_holds(
                                    &band.source_columns,
                                    at,
                                    g.width,
                                    problem.border().columns(),
                                );
                                assert!(held, "{problem}: column {at} of {band:?}");
                            }
                        }
                    }
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "{problem} in {bytes} bytes");
        }
        assert!(cuts > 5, "{problem}: only {cuts} bands");
    }
}

#[test]
fn bands_start_at_whole_words() {
    let conv = Conv2d::new(kernel(3, 3, 1));
    let odd = problem(&conv, [9, 50, 33, 3], U8, U8);
    let limits = GpuLimits { max_binding: 1 << 15, ..GpuLimits::webgpu_defaults() };
    let machine = Machine::Gpu(limits, Residence::Device);
    let plan = choose(&odd, &machine, Algorithm::Auto).unwrap();
    let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
    assert!(launch.bands.len() > 1);
    let image = odd.geometry().out_image();
    for band in &launch.bands {
        assert_eq!((band.images.start * image + band.rows.start * 99) % 4, 0, "{band:?}");
    }
}

#[test]
fn a_pixel_that_does_not_fit_is_refused_with_its_size() {
    let conv = Conv2d::new(kernel(101, 101, 1));
    let limits = GpuLimits { max_binding: 1 << 20, ..GpuLimits::webgpu_defaults() };
    let machine = Machine::Gpu(limits, Residence::Host);
    let error = choose(&problem(&conv, [1, 200, 200, 300], F32, F32), &machine, Algorithm::Auto)
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_576, .. }), "{error}");
}

/// What is copied there and back comes in bands that overlap with computing, unless their halos would
/// be a great part of them; what lies there already does not.
#[test]
fn host_bands_are_small_where_halos_are() {
    let bands = |side, width, residence, algorithm| {
        let (_, limits) = devices()[4];
        let wanted = problem(&Conv2d::new(kernel(side, width, 1)), [1, 2000, 2000, 4], F32, F32);
        let plan = choose(&wanted, &Machine::Gpu(limits, residence), algorithm).unwrap();
        let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
        launch.bands.clone()
    };
    let small = bands(3, 3, Residence::Host, Algorithm::Flat);
    assert!(small.iter().all(|band| band.source_rows.len * 2000 * 16 <= 4 << 20), "{small:?}");
    assert!((15..=17).contains(&small.len()), "{small:?}");
    assert_eq!(bands(3, 3, Residence::Device, Algorithm::Flat).len(), 1);
    // Halos of 30 rows, where 4 MiB hold 131.
    let halos = |bands: &[Band]| bands.iter().map(|band| band.source_rows.len).sum::<usize>();
    let wider = bands(31, 2, Residence::Host, Algorithm::Flat);
    assert!((8..=9).contains(&wider.len()) && halos(&wider) <= 2250, "{wider:?}");
    // Of 200 rows, where 16 MiB hold 524.
    assert!(halos(&bands(201, 2, Residence::Host, Algorithm::Flat)) <= 2500);
    // Tiles have large halos: as few bands as may be.
    assert_eq!(bands(61, 61, Residence::Host, Algorithm::Fft).len(), 1);
    // And take less work: 4e6 places with 4 channels and 3721 taps are several submissions of `flat`.
    assert!(bands(61, 61, Residence::Device, Algorithm::Flat).len() > 1);
    assert_eq!(bands(61, 61, Residence::Device, Algorithm::Fft).len(), 1);
}

#[test]
fn work_is_split_before_a_watchdog_bites() {
    let conv = Conv2d::new(kernel(63, 63, 1));
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    let big = problem(&conv, [1, 2000, 2000, 3], F32, F32);
    let plan = choose(&big, &machine, Algorithm::Auto).unwrap();
    let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
    let most = GpuLimits::webgpu_defaults().max_work();
    assert!(launch.bands.len() as u64 >= big.multiply_adds() / most, "{plan}");
}
