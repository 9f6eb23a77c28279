//! Along an axis of an adjoint, the places that meet the same taps.

/// Places of an axis that meet the same taps.
#[derive(Debug)]
pub(super) struct Phase {
    /// The first of them; the others follow at the distance of the stride.
    pub first: usize,
    /// Taps by their index, so that the inputs they meet rise.
    pub taps: Vec<usize>,
    /// The input that the first of these taps meets at the first place, and from one to the next.
    pub input: isize,
    pub apart: usize,
}

/// The phases of an axis that meet any taps.
pub(super) fn phases(kernel: usize, stride: usize, dilation: usize) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for tap in (0..kernel).rev() {
        let (at, first) = (tap * dilation, tap * dilation % stride);
        match phases.iter_mut().find(|phase| phase.first == first) {
            Some(phase) => {
                let far = phase.taps[0] * dilation;
                if phase.taps.len() == 1 {
                    phase.apart = (far - at) / stride;
                }
                phase.taps.push(tap);
            }
            None => {
                let input = -(((at - first) / stride) as isize);
                phases.push(Phase { first, taps: vec![tap], input, apart: 1 });
            }
        }
    }
    phases
}
