//! Options and element types as chance puts them together: what the program writes is what the library gives, and
//! what it writes passes its own check against the definition.

use channelwise::ndarray::{Array2, Array4, Axis};
use channelwise::{Border, Conv2d, Element, Engine, Kernel, Layout};
use ndarray_npy::{ReadableElement, WritableElement};

use super::room::Room;

/// The same numbers every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// From -1 to 1.
    fn number(&mut self) -> f64 {
        self.below(2001) as f64 / 1000.0 - 1.0
    }
}

const BORDERS: [(&str, Border); 5] = [
    ("replicate", Border::Replicate),
    ("reflect", Border::Reflect),
    ("reflect101", Border::Reflect101),
    ("wrap", Border::Wrap),
    ("constant:0.25", Border::Constant(0.25)),
];

#[test]
fn whatever_chance_puts_together() {
    let room = Room::new();
    for seed in 0..8 {
        one::<f32>(&room, seed);
        one::<f64>(&room, 100 + seed);
        one::<u8>(&room, 200 + seed);
        one::<i8>(&room, 300 + seed);
        one::<i16>(&room, 400 + seed);
        one::<i32>(&room, 500 + seed);
        one::<u32>(&room, 600 + seed);
    }
}

fn one<T: Element + WritableElement + ReadableElement>(room: &Room, seed: u64) {
    let mut chance = Chance(seed);
    (0..5).for_each(|_| _ = chance.below(2));
    let floats = !T::TYPE.is_integer();
    let [n, h, w, c] =
        [1 + chance.below(2), 9 + chance.below(6), 8 + chance.below(9), 1 + chance.below(4)];
    let layout = if chance.one_in(4) { Layout::Nchw } else { Layout::Nhwc };
    let shape = if layout == Layout::Nchw { [n, c, h, w] } else { [n, h, w, c] };
    let mut args = format!("--layout {}", if layout == Layout::Nchw { "nchw" } else { "nhwc" });
    let missing = chance.below(3);
    let mut x = Array4::from_shape_fn(shape, |_| {
        let number = chance.number();
        T::from_f64(if floats { number } else { 100.0 * number })
    });

    // Positive weights where they are divided by.
    let (kh, kw) = (1 + chance.below(5), 1 + chance.below(5));
    let weights = Array2::from_shape_fn((kh, kw), |_| {
        let weight = chance.number() / 4.0;
        if missing > 0 { weight.abs() + 0.01 } else { weight }
    });
    room.save("k.npy", &weights);
    let mut kernel = Kernel::from_f64(kh, kw, 1, weights.iter().copied().collect()).unwrap();
    args += " --kernel-file k.npy";
    if chance.one_in(3) {
        let by = 0.5 + chance.below(4) as f64 / 8.0;
        kernel = Kernel::weighted_sum(&[(by, kernel)]).unwrap();
        args += &format!(" --scale {by}");
    }
    let (rows, columns) = (chance.pick(&BORDERS), chance.pick(&BORDERS));
    args += &format!(" --border {},{}", rows.0, columns.0);
    let mut conv = Conv2d::new(kernel).layout(layout).border((rows.1, columns.1));
    if chance.one_in(3) {
        let bias = chance.number();
        conv = conv.bias_f64([bias]);
        args += &format!(" --bias {bias}");
    }
    if chance.one_in(3) {
        let stride = (1 + chance.below(3), 1 + chance.below(3));
        conv = conv.stride(stride.0, stride.1);
        args += &format!(" --stride {},{}", stride.0, stride.1);
    }
    let mut mask = None;
    if missing == 1 && floats {
        x.iter_mut().step_by(5).for_each(|x| *x = T::from_f64(f64::NAN));
        conv = conv.skip_nan();
        args += " --skip-nan";
    }
    if missing == 2 {
        let of = |chance: &mut Chance| chance.pick(&[0.0f32, 0.5, 1.0]);
        let own = Array4::from_shape_fn(shape, |_| of(&mut chance));
        let shared = Array2::from_shape_fn((h, w), |_| of(&mut chance));
        let all = chance.one_in(2);
        match all {
            true => room.save("m.npy", &own),
            false => room.save("m.npy", &shared),
        }
        conv = conv.normalized().no_data(7.0);
        args += " --mask m.npy --no-data 7";
        mask = Some((all, own, shared));
    }
    room.save("x.npy", &x);

    let prepared = Engine::cpu().prepare::<T, T>(&conv, shape).unwrap();
    let mut want = match &mask {
        Some((true, own, _)) => prepared.run_masked(&x, own),
        Some((false, _, shared)) => prepared.run_masked(&x, shared),
        None => prepared.run(&x),
    }
    .unwrap();
    if chance.one_in(2) {
        let high = if layout == Layout::Nchw { 2 } else { 1 };
        let mut range = |axis: usize| {
            let len = want.len_of(Axis(axis));
            let first = chance.below(len);
            let range = first..first + 1 + chance.below(len - first);
            want.slice_axis_inplace(Axis(axis), range.clone().into());
            range
        };
        let (down, across) = (range(high), range(high + 1));
        args += &format!(" --region {}:{},{}:{}", down.start, down.end, across.start, across.end);
    }

    for engine in ["cpu", "auto"] {
        room.run(&format!("run x.npy -o y.npy --engine {engine} --verify {args}")).ok();
        let y: Array4<T> = room.load("y.npy");
        assert_eq!(y.shape(), want.shape(), "{args}");
        let off: Vec<f64> = y
            .iter()
            .zip(&want)
            .map(|(a, b)| (a.to_f64(), b.to_f64()))
            .filter(|(a, b)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()))
            .map(|(a, b)| (a - b).abs())
            .collect();
        // Quotients become floats before they are integers there, which may end on another side of a half.
        let halves = missing > 0
            && !floats
            && off.len() * 20 <= y.len()
            && off.iter().all(|off| *off <= 1.0);
        assert!(off.is_empty() || halves, "{} of {}, {off:?}: {args}", off.len(), T::TYPE);
    }
}
