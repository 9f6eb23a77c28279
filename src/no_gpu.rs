//! In place of the GPU engine, without the feature `gpu`: types that have no values. What the rest of the
//! engine would do with a GPU is then checked by the compiler like any other code, and compiled to nothing.

use crate::plan::{ChainPlan, GpuLimits, GradientPlan, Plan};
use crate::problem::WeightSums;
use crate::wait::Wait;
use crate::{Algorithm, Conv2d, Element, ElementType, Problem, Result, Shape};

/// No GPU.
#[derive(Clone, Debug)]
pub(crate) enum Gpu {}

/// A problem, made ready for no GPU.
#[derive(Clone, Debug)]
pub(crate) enum GpuPrepared {}

/// A chain, made ready for no GPU.
#[derive(Clone, Debug)]
pub(crate) enum GpuChain {}

/// Gradients, made ready for no GPU.
#[derive(Clone, Debug)]
pub(crate) enum GpuBackward {}

/// Time of the parts of a run that never was.
pub(crate) struct Parts {
    pub upload: std::time::Duration,
    pub compute: std::time::Duration,
    pub download: std::time::Duration,
    pub gpu: Option<std::time::Duration>,
}

impl Gpu {
    pub fn limits(&self) -> &GpuLimits {
        match *self {}
    }

    pub async fn prepare_host(&self, _: &Problem, _: Algorithm, _: Wait) -> Result<GpuPrepared> {
        match *self {}
    }

    pub async fn prepare_planned(
        &self,
        _: &Problem,
        _: Algorithm,
        _: Plan,
        _: Wait,
    ) -> Result<GpuPrepared> {
        match *self {}
    }

    pub async fn backward_for(&self, _: &Problem, _: Algorithm, _: Wait) -> Result<GpuBackward> {
        match *self {}
    }
}

impl std::fmt::Display for Gpu {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl GpuPrepared {
    pub fn problem(&self) -> &Problem {
        match *self {}
    }

    pub fn plan(&self) -> &Plan {
        match *self {}
    }

    pub async fn part(&self, _: &Problem, _: Wait) -> Result<Self> {
        match *self {}
    }

    pub fn set_weights(&mut self, _: &Conv2d) -> Result<()> {
        match *self {}
    }

    pub async fn run(&self, _: &[u8], _: &mut [u8], _: Wait, _: bool) -> Result<Parts> {
        match *self {}
    }
}

impl GpuChain {
    pub fn set_weights(&mut self, _: &[Conv2d]) -> Result<()> {
        match *self {}
    }

    pub async fn new(
        gpu: &Gpu,
        _: &[Conv2d],
        _: Shape,
        _: [ElementType; 2],
        _: Algorithm,
        _: Wait,
    ) -> Result<Self> {
        match *gpu {}
    }

    pub fn plan(&self) -> &ChainPlan {
        match *self {}
    }

    pub async fn run<T: Element, U: Element>(&self, _: &[T], _: &mut [U], _: Wait) -> Result<()> {
        match *self {}
    }
}

impl GpuBackward {
    pub fn set_weights(&mut self, _: &Conv2d) -> Result<()> {
        match *self {}
    }

    pub fn problem(&self) -> &Problem {
        match *self {}
    }

    pub fn plan(&self) -> &GradientPlan {
        match *self {}
    }

    pub async fn run_host<T: Element>(
        &self,
        _: &[T],
        _: &[f32],
        _: Option<&mut [f32]>,
        _: bool,
        _: Wait,
    ) -> Result<WeightSums> {
        match *self {}
    }
}
