//! On GPUs: as it is, with every size as a constant, with little that it binds at once, and as another class of GPU.

use channelwise::plan::Cuts;
use channelwise::{Algorithm, Engine, Gpu};

use super::Verdict;
use super::shrink::shrink;
use crate::common::{Backend, Case, F32, Kind, Outcome, Rng, devices, dims};
use crate::{adjoint, agreement, chains, gradients, masked, regions, seams, streams, textures};

/// Problems of a device before another takes its place, and frees what drivers keep of pipelines.
const OF_ONE: usize = 60;
/// Problems of one draw that differ in rows, columns, data and bands: drivers compile nothing for the rest of them.
const VARIED: usize = 16;
/// Multiply-adds of a gradient.
const GRADIENTS: usize = 300_000;

/// The devices of a worker.
#[derive(Default)]
pub(super) struct Devices {
    all: Vec<(&'static str, Gpu)>,
    tried: usize,
}

impl Devices {
    fn pick(&mut self, rng: &mut Rng) -> (&'static str, Gpu) {
        if self.tried.is_multiple_of(OF_ONE) {
            self.all = devices();
        }
        self.tried += 1;
        let (name, gpu) = rng.pick(&self.all);
        (name, gpu.clone())
    }
}

/// The problem of a seed.
pub(super) fn problem(devices: &mut Devices, seed: u64) -> Verdict {
    let mut rng = Rng::new(seed);
    let (name, gpu) = devices.pick(&mut rng);
    let cuts = seams::cuts(&mut rng, true);
    let algorithm = *rng.pick(&[
        Algorithm::Direct,
        Algorithm::Direct,
        Algorithm::Flat,
        Algorithm::March,
        Algorithm::Separable,
        Algorithm::Fft,
    ]);
    let own = rng.next();
    let engine = |algorithm| Engine::from(gpu.with_cuts(by_rows(cuts))).with_algorithm(algorithm);
    let told = format!("{name}, {algorithm}, {cuts:?}");
    let one = |what: &'static str, case: Case, run: &dyn Fn(&Engine, &Case) -> Outcome<()>| {
        let by = |algorithm: Algorithm, case: &Case| run(&engine(algorithm), case);
        let (algorithm, outcome) = match by(algorithm, &case) {
            Outcome::NotApplicable(_) => (Algorithm::Direct, by(Algorithm::Direct, &case)),
            other => (algorithm, other),
        };
        match outcome {
            Outcome::Done(_) => Ok(vec![(what, format!("{name} {algorithm}"))]),
            Outcome::NotApplicable(text) => Err(format!("{what}: {case}: {text}")),
            Outcome::Failed(wrong) => {
                let (case, wrong) = shrink(case, wrong, |case| match by(algorithm, case) {
                    Outcome::Failed(wrong) => Some(wrong),
                    _ => None,
                });
                Err(format!("{what}: {told}, {case}: {wrong}"))
            }
        }
    };
    match rng.below(20) {
        kind @ 0..12 => {
            let case = match kind {
                0..6 if algorithm == Algorithm::March => agreement::marches(own),
                0..6 => agreement::random(own),
                6..9 => seams::separable(&mut rng, own),
                _ => adjoint::case(&mut rng, (F32, F32), own),
            };
            let mut made = Vec::new();
            for number in 0..VARIED {
                let case = if number == 0 { case.clone() } else { varied(&case, &mut rng) };
                let bands = seams::cuts(&mut rng, true);
                let cuts =
                    Cuts { band_bytes: bands.band_bytes, band_work: bands.band_work, ..cuts };
                let again = rng.clone();
                let fails = |case: &Case, algorithm: Algorithm| {
                    let cuts = seams::of_algorithm(&mut again.clone(), algorithm, cuts);
                    seams::in_pieces(&gpu, case, algorithm, cuts)
                };
                let (algorithm, applied) = match fails(&case, algorithm) {
                    Ok(false) => (Algorithm::Direct, fails(&case, Algorithm::Direct)),
                    other => (algorithm, other),
                };
                match applied {
                    Ok(true) => made.push(("forward", format!("{name} {algorithm}"))),
                    // A pixel may need more than the smallest bands.
                    Ok(false) => {}
                    Err(wrong) => {
                        let (case, wrong) =
                            shrink(case, wrong, |case| fails(case, algorithm).err());
                        let told = format!("{name}, {algorithm}, {cuts:?}");
                        return Err(format!("forward: {told}, {case}: {wrong}"));
                    }
                }
            }
            Ok(made)
        }
        12 | 13 => {
            let finite = rng.chance(3);
            let setup = gradients::drawn(&mut rng, own, finite, GRADIENTS);
            // Rows of many channels need more than the smallest bands.
            let cuts = Cuts { band_bytes: Some(1 << 16), ..cuts };
            let backend = |cuts: Cuts| Backend {
                name: format!("{name}, {cuts:?}"),
                kind: Kind::GpuDirect,
                engine: gpu.with_cuts(cuts).into(),
            };
            // A part of each of the least work may be more than a small device binds, and an image of which every
            // pixel is needed at once more than the smallest bands.
            let larger = Cuts { band_work: None, ..cuts };
            let bands = [cuts, larger, Cuts { band_bytes: None, ..larger }].map(backend);
            let judged = |setup: &gradients::Setup| {
                let model = setup.model();
                let fitting = bands.iter().find(|by| gradients::fits(&model, &by.engine));
                let wrong = fitting.map(|by| gradients::judge(&model, by, &mut [0.0; 5]).err());
                wrong.unwrap_or_else(|| Some("it fits no bands".into()))
            };
            match judged(&setup) {
                None => Ok(vec![("gradients", name.into())]),
                Some(wrong) => {
                    let (setup, wrong) = shrink(setup, wrong, judged);
                    Err(format!("gradients: {setup:?}: {wrong}"))
                }
            }
        }
        14 => {
            let case = regions::four(agreement::random(own), &mut rng);
            one("region", case, &|engine, case| regions::typed(engine, case, &mut Rng::new(own)))
        }
        15 => {
            let case = streams::of_types(agreement::random(own), true, &mut rng);
            one("stream", case, &|engine, case| streams::typed(engine, case, &mut Rng::new(own)))
        }
        16 => {
            one("normalised", masked::case(own), &|engine, case| masked::typed(engine, case, own))
        }
        17 => {
            chains::random_agrees(&gpu, own);
            Ok(vec![("chain", name.into())])
        }
        _ => {
            let algorithm = textures::random_agrees(&gpu.with_cuts(cuts), own)
                .map_err(|wrong| format!("texture: {cuts:?}, {wrong}"))?;
            Ok(vec![("texture", format!("{name} {algorithm}"))])
        }
    }
}

/// Bands of any kind, as far as a pixel of every problem fits them.
fn by_rows(cuts: Cuts) -> Cuts {
    Cuts { band_bytes: cuts.band_bytes.map(|bytes| bytes << 4), ..cuts }
}

/// The same options on other data, of another size where the options take any.
fn varied(case: &Case, rng: &mut Rng) -> Case {
    let layout = case.conv.get_layout();
    let [_, h, w, c] = case.shape.to_nhwc(layout);
    let four = case.shape.dims().len() == 4 && !case.conv.is_adjoint();
    let other = (0..20).find_map(|_| {
        let sizes = [1 + rng.below(2), 1 + rng.below(2 * h + 8), 1 + rng.below(2 * w + 8), c];
        let other = Case { shape: dims(sizes, layout).into(), ..case.clone() };
        let small = other.problem().is_ok_and(|p| p.multiply_adds() < 100_000);
        (four && small).then_some(other)
    });
    other.unwrap_or(case.clone()).seed(rng.next())
}
