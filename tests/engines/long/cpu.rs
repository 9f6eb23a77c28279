//! On the CPU.

use channelwise::{Algorithm, Cpu, Engine};

use super::Verdict;
use super::shrink::{Shrink, shrink};
use crate::common::{Backend, Case, F32, F64, I32, Kind, Outcome, Rng, judge};
use crate::{adjoint, agreement, chains, gradients, masked, regions, seams, streams};

/// Multiply-adds of a gradient: the reference makes three sums of so many.
const GRADIENTS: usize = 200_000;

/// How a problem is computed: by one algorithm of an engine that cuts it at random, and of one that does not.
struct How {
    name: String,
    algorithm: Algorithm,
    cut: Cpu,
    whole: Cpu,
}

impl How {
    fn drawn(rng: &mut Rng) -> Self {
        let cuts = seams::cuts(rng, false);
        let levels = Cpu::simd_levels();
        let level = *rng.pick(&levels);
        // Many threads share few cores, and take their time.
        let cpus = seams::cpus();
        let some = if rng.chance(12) { cpus } else { &cpus[..3] };
        let [cut, other] = [rng.pick(some), rng.pick(some)];
        let of = |cpu: &Cpu| cpu.clone().with_simd(level).unwrap();
        let algorithm = *rng.pick(&[
            Algorithm::Direct,
            Algorithm::Direct,
            Algorithm::Separable,
            Algorithm::Fft,
        ]);
        Self {
            name: format!("cpu {level} {algorithm}"),
            algorithm,
            whole: of(other).with_cuts(seams::whole(algorithm, &cuts)),
            cut: of(cut).with_cuts(cuts),
        }
    }

    fn by(self, algorithm: Algorithm) -> Self {
        Self { name: format!("cpu {} {algorithm}", self.cut.simd()), algorithm, ..self }
    }

    /// The same by the one that takes everything.
    fn direct(self) -> Self {
        self.by(Algorithm::Direct)
    }

    fn engines(&self) -> [Engine; 2] {
        [&self.cut, &self.whole].map(|cpu| Engine::from(cpu.clone()).with_algorithm(self.algorithm))
    }

    fn told(&self) -> String {
        format!(
            "{}, {} and {} threads, {:?}",
            self.name,
            self.cut.limits().threads,
            self.whole.limits().threads,
            self.cut.limits().cuts
        )
    }
}

/// The problem of a seed.
pub(super) fn problem(seed: u64) -> Verdict {
    let mut rng = Rng::new(seed);
    let how = How::drawn(&mut rng);
    let own = rng.next();
    let forward = |case, how| tried("forward", case, how, forward);
    match rng.below(40) {
        0..14 => forward(agreement::random(own), how),
        14 => forward(agreement::wide(own), how),
        15..18 => {
            let case = seams::separable(&mut rng, own);
            let how = if own.is_multiple_of(3) { how } else { how.by(Algorithm::Separable) };
            forward(case, how)
        }
        18..22 => forward(adjoint::case(&mut rng, (F32, F32), own), how),
        22 => forward(agreement::double(&mut rng, own), how),
        23 => forward(adjoint::case(&mut rng, (F64, I32), own), how),
        24..28 => by_gradients(&mut rng, own, &how),
        28..32 => {
            let case = regions::four(agreement::random(own), &mut rng);
            tried("region", case, how, |case, engines| {
                one(regions::typed(&engines[0], case, &mut Rng::new(own)))
            })
        }
        32..36 => {
            let case = streams::of_types(agreement::random(own), false, &mut rng);
            tried("stream", case, how, |case, engines| {
                one(streams::typed(&engines[0], case, &mut Rng::new(own)))
            })
        }
        36 | 37 => tried("normalised", masked::case(own), how, |case, engines| {
            one(masked::typed(&engines[0], case, own))
        }),
        38 => {
            // Transforms would spread.
            let how = how.direct();
            let engine = &how.engines()[0];
            chains::random_on(engine, own).map_err(|text| format!("chain: {text}, {engine}"))?;
            Ok(vec![("chain", how.name)])
        }
        _ => {
            let how = how.direct();
            let engine = &how.engines()[0];
            let compared = masked::each_alone(engine, own).map_err(|e| e.to_string())?;
            if compared {
                Ok(vec![("each", how.name)])
            } else {
                Err("each: direct did not apply".into())
            }
        }
    }
}

/// Whether it applied, or what is wrong.
type Tried = Result<bool, String>;

fn one<U>(outcome: Outcome<U>) -> Tried {
    match outcome {
        Outcome::Done(_) => Ok(true),
        Outcome::NotApplicable(_) => Ok(false),
        Outcome::Failed(text) => Err(text),
    }
}

/// Within the bound, and with the same bits whatever the cut.
fn forward(case: &Case, engines: &[Engine; 2]) -> Tried {
    let judge = judge(case);
    seams::same(&judge, engines)
}

/// Where the algorithm does not apply, `direct` is taken.
fn tried(
    what: &'static str,
    case: Case,
    how: How,
    run: impl Fn(&Case, &[Engine; 2]) -> Tried,
) -> Verdict {
    let (applied, how) = match run(&case, &how.engines()) {
        Ok(false) if how.algorithm != Algorithm::Direct => {
            let how = how.direct();
            (run(&case, &how.engines()), how)
        }
        other => (other, how),
    };
    match applied {
        Ok(true) => Ok(vec![(what, how.name)]),
        Ok(false) => Err(format!("{what}: direct does not apply to {case}")),
        Err(wrong) => {
            let engines = how.engines();
            let (case, wrong) = shrink(case, wrong, |case| run(case, &engines).err());
            Err(format!("{what}: {}, {case}: {wrong}", how.told()))
        }
    }
}

fn by_gradients(rng: &mut Rng, own: u64, how: &How) -> Verdict {
    let finite = rng.chance(3);
    let setup = gradients::drawn(rng, own, finite, GRADIENTS);
    let backend = |cpu: &Cpu| Backend {
        name: format!("{}, {} threads", how.name, cpu.limits().threads),
        kind: Kind::Cpu,
        engine: cpu.clone().into(),
    };
    let judged = |setup: &gradients::Setup| {
        let model = setup.model();
        gradients::judge(&model, &backend(&how.cut), &mut [0.0; 5]).err()
    };
    match judged(&setup) {
        None => Ok(vec![("gradients", format!("cpu {}", how.cut.simd()))]),
        Some(wrong) => {
            let (setup, wrong) = shrink(setup, wrong, judged);
            Err(format!("gradients: {}, {setup:?}: {wrong}", how.told()))
        }
    }
}

impl Shrink for gradients::Setup {
    fn simpler(&self) -> Vec<Self> {
        self.simpler()
    }
}
