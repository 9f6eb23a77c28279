//! Every engine and algorithm gives what `reference` says, element by element, within the bound it
//! states: over borders, element types, layouts, awkward sizes and every option, by tables and by
//! seeded chance.

mod algorithms;
mod comparison;
mod elements;
mod factors;
mod marching;
mod means;
mod options;
mod random;
mod values;

pub(crate) use elements::double;
pub(crate) use marching::drawn as marches;
pub(crate) use random::{random, random_separable, wide};

use channelwise::{Activation, ElementType, Layout};

use crate::common::{F16, F32, I8, I16, U8, U16};

const TYPES: [(ElementType, ElementType); 24] = [
    (F32, F32),
    (U8, U8),
    (U8, F32),
    (F32, U8),
    (U16, U16),
    (F16, F16),
    (F32, F16),
    (U16, F32),
    (F16, F32),
    (F32, U16),
    (U8, U16),
    (U8, F16),
    (U16, U8),
    (U16, F16),
    (F16, U8),
    (F16, U16),
    (I8, I8),
    (I16, I16),
    (I16, F32),
    (I8, F16),
    (F32, I16),
    (U8, I16),
    (I16, U8),
    (F16, I8),
];
const LAYOUTS: [Layout; 2] = [Layout::Nhwc, Layout::Nchw];
/// Around the widths of vectors, workgroups and tiles.
const SIZES: [usize; 14] = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65];
const KERNELS: [(usize, usize); 8] =
    [(1, 1), (2, 2), (3, 3), (4, 2), (1, 7), (7, 1), (5, 3), (11, 11)];
const STRIDES: [(usize, usize); 5] = [(1, 1), (2, 2), (1, 3), (3, 1), (5, 2)];
const DILATIONS: [(usize, usize); 4] = [(1, 1), (2, 1), (1, 3), (3, 2)];
const FLOAT_ACTIVATIONS: [Activation; 3] =
    [Activation::Sigmoid, Activation::Tanh, Activation::Gelu];
const ACTIVATIONS: [Activation; 6] = [
    Activation::None,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky(0.1),
    Activation::Clamp(-0.25, 0.5),
    Activation::Abs,
];
