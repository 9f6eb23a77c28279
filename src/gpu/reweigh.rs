//! Other weights for what is prepared: no planning, no compilation.

use std::sync::Arc;

use super::bound::{Compiled, Given};
use super::device::Context;
use super::executor::Executor;
use super::ready::{Ready, elsewhere};
use super::{GpuPrepared, GpuTensor};
use crate::plan::job::{self, Command, Job, Piece, Resource};
use crate::plan::{Launch, Plan};
use crate::{Conv2d, ElementType, Error, Problem, Result};

impl GpuPrepared {
    /// Takes the weights of `conv` (kernel, bias and pointwise step), which is what was prepared in all else:
    /// a slider, or a step of training. Nothing is planned or compiled, and where no clone shares it, nothing
    /// is made either. Clones keep the weights they have.
    ///
    /// The weights are there before anything that is submitted later; what was submitted before does not see
    /// them, and what was recorded and not submitted does.
    ///
    /// ```no_run
    /// use channelwise::{Algorithm, Conv2d, ElementType, Gpu, GpuTensor, Kernel, Problem};
    /// # fn example(gpu: &Gpu, frame: &GpuTensor<u8>, out: &GpuTensor<u8>) -> channelwise::Result<()> {
    /// let blur = |sigma| Ok::<_, channelwise::Error>(Conv2d::new(Kernel::gaussian(9, sigma)?));
    /// let problem = Problem::new(&blur(1.0)?, frame.shape(), ElementType::U8, ElementType::U8)?;
    /// let mut prepared = gpu.prepare(&problem, Algorithm::Auto)?;
    /// for sigma in [1.0, 1.5, 2.0] {
    ///     prepared.set_weights(&blur(sigma)?)?;
    ///     prepared.apply_into(frame, out)?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where `conv` differs in more than weights; [`Error::NotApplicable`] where the
    /// algorithm was chosen for what the weights were (`separable` for a kernel that is a sum of few separable
    /// ones, `fft` for a finite one, `march` for one without a bias), and these are not; what the device says. The weights are then as before.
    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        let executor = self.gpu().executor.clone();
        if !reweigh(self.ready_mut(), &executor, conv)? {
            // Those that were free are bound to the weights of others.
            self.forget_slots();
        }
        Ok(())
    }

    /// Takes the kernel from a tensor `[height, width, filters]` on the device, as one of gradients or of a
    /// step of training is there; bias and pointwise step stay as they are. The copy is submitted, and not
    /// waited for. [`GpuPrepared::problem`] goes on telling of the weights that came from the host.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for a tensor of another shape; [`Error::NotApplicable`] where the algorithm
    /// makes something else of the weights first: all but `direct`, `flat` and `march` do, and so do adjoints and
    /// pointwise steps that are one with the kernel; [`Error::Buffer`] for a tensor of another device, or
    /// without usage `COPY_SRC`; what the device says.
    pub fn set_kernel_from(&mut self, kernel: &GpuTensor<f32>) -> Result<()> {
        let problem = self.problem();
        let conv = problem.conv();
        let [height, width, filters] =
            [conv.kernel.height(), conv.kernel.width(), conv.kernel.filters()];
        let shape = [height, width, filters].into();
        kernel.check("kernel", shape, kernel.layout(), ElementType::F32)?;
        self.gpu().same_device("kernel", kernel)?;
        kernel.needs(wgpu::BufferUsages::COPY_SRC)?;
        let Launch::Gpu(launch) = self.plan().launch() else { return Ok(()) };
        let folded = conv.pointwise.is_some() && problem.weights().follow.is_none();
        let plain = !folded && !conv.adjoint;
        let Some(taps) = job::taps_at(problem, launch).filter(|_| plain) else {
            return Err(Error::NotApplicable {
                algorithm: self.plan().algorithm(),
                engine: "gpu",
                reason: "weights on the device go into `direct`, `flat` and `march` as they are, without adjoint or a pointwise step that is one with the kernel".into(),
            });
        };
        // The kernel as given is [height, width, filters], and taps are [filters, height, width].
        let flip = conv.flip;
        let places = (0..filters).flat_map(|f| (0..height * width).map(move |tap| (f, tap)));
        let pieces = places.map(|(f, tap)| Piece {
            from: 4 * ((if flip { height * width - 1 - tap } else { tap }) * filters + f),
            to: 4 * taps[f * height * width + tap],
            len: 4,
        });
        let pieces: Vec<Piece> = joined(pieces);
        let executor = self.gpu().executor.clone();
        let command = Command::Copies { from: Resource::Source, to: Resource::Weights(0), pieces };
        let copy = Job { commands: vec![command], ..Job::default() };
        let table = [(Resource::Source, Given::Range(kernel.own_range()))];
        let take = |compiled: &Compiled| {
            executor.run("taking a kernel", &copy, compiled, &table, u64::MAX)
        };
        let ready = self.ready_mut();
        // What it is prepared for may be a mean, whose inputs are added up as they are; this kernel is any, and the
        // other weights are others then too.
        if let Some(own) = Arc::get_mut(ready)
            && own.problem.mean().is_none()
        {
            return take(&own.compiled);
        }
        let problem = ready.problem.clone().without_mean();
        let weights = job::weights(&problem, ready.launch()?)?;
        let again = ready.again(&executor, &weights)?;
        take(&again.compiled)?;
        // Taken as a whole, or not at all.
        *ready = Arc::new(Ready { problem, ..again });
        self.forget_slots();
        Ok(())
    }
}

/// Pieces that go on where the last one ended, as one.
fn joined(pieces: impl Iterator<Item = Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        match all.last_mut() {
            Some(last) if (last.from + last.len, last.to + last.len) == (piece.from, piece.to) => {
                last.len += piece.len;
            }
            _ => all.push(piece),
        }
    }
    all
}

/// Puts other weights into what was compiled, if it is nobody else's; else into one of its own. Whether it was
/// the former.
pub(super) fn rewrite(
    compiled: &mut Arc<Compiled>,
    context: &Context,
    weights: &[Vec<f32>],
) -> Result<bool> {
    if let Some(own) = Arc::get_mut(compiled) {
        own.rewrite(context, weights)?;
        return Ok(true);
    }
    *compiled = Arc::new(compiled.with_weights(context, weights)?);
    Ok(false)
}

/// What the programs of `plan` read as weights.
pub(super) fn weights_of(problem: &Problem, plan: &Plan) -> Result<Vec<Vec<f32>>> {
    match plan.launch() {
        Launch::Gpu(launch) => Ok(job::weights(problem, launch)?),
        Launch::Cpu(_) => Err(elsewhere(plan.algorithm())),
    }
}

/// Puts other weights into what is made ready, if it is nobody else's; else into one of its own. Whether it
/// was the former.
pub(super) fn reweigh(ready: &mut Arc<Ready>, executor: &Executor, conv: &Conv2d) -> Result<bool> {
    let problem = ready.problem.reweighed(conv)?;
    let plan = ready.plan.reweighed(&problem)?;
    let weights = weights_of(&problem, &plan)?;
    match Arc::get_mut(ready) {
        Some(own) => {
            own.compiled.rewrite(&executor.context, &weights)?;
            (own.problem, own.plan) = (problem, plan);
            Ok(true)
        }
        None => {
            let again = ready.again(executor, &weights)?;
            *ready = Arc::new(Ready { problem, plan, ..again });
            Ok(false)
        }
    }
}
