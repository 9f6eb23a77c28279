//! Elements of any type: the one list of the types that files, options and runs know.

use std::borrow::Cow;

use bytemuck::Pod;
use channelwise::ndarray::{ArrayD, Axis, concatenate};
use channelwise::{Element, ElementType, Error};

use crate::failure::{Failure, Result};

/// Each element as another, where there is memory for them.
pub(crate) fn mapped<T, U: Element>(
    what: &'static str,
    x: &ArrayD<T>,
    each: impl Fn(&T) -> U,
) -> Result<ArrayD<U>> {
    let bytes = (x.len() as u64).saturating_mul(size_of::<U>() as u64);
    let mut made = Vec::new();
    made.try_reserve_exact(x.len()).map_err(|_| Error::out_of_host_memory(what, bytes))?;
    made.extend(x.iter().map(each));
    ArrayD::from_shape_vec(x.shape(), made).map_err(|error| Failure::work(error.to_string()))
}

/// Expands a rule below with every element type: a type more is a line here.
macro_rules! types {
    ($rule:ident $($what:tt)*) => {
        $crate::files::tensor::types! {
            @$rule ($($what)*)
            F32 f32,
            F64 f64,
            F16 channelwise::f16,
            U8 u8,
            I8 i8,
            U16 u16,
            I16 i16,
            U32 u32,
            I32 i32,
        }
    };

    (@define () $($name:ident $type:ty,)+) => {
        /// Elements of any type; any number of axes.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Tensor {
            $($name(ArrayD<$type>),)+
        }

        /// Names an element type, as `--out-type` does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
        pub(crate) enum Type {
            $($name,)+
        }

        impl From<Type> for ElementType {
            fn from(kind: Type) -> Self {
                match kind {
                    $(Type::$name => Self::$name,)+
                }
            }
        }

        impl Tensor {
            pub(crate) fn kind(&self) -> Type {
                match self {
                    $(Self::$name(_) => Type::$name,)+
                }
            }
        }

        $(impl Sample for $type {
            fn tensor(array: ArrayD<Self>) -> Tensor {
                Tensor::$name(array)
            }

            fn array(tensor: Tensor) -> Option<ArrayD<Self>> {
                if let Tensor::$name(array) = tensor { Some(array) } else { None }
            }
        })+
    };

    (@array ($tensor:expr, $x:ident => $body:expr) $($name:ident $type:ty,)+) => {
        match $tensor {
            $($crate::files::Tensor::$name($x) => $body,)+
        }
    };

    (@kind ($kind:expr, $T:ident => $body:expr) $($name:ident $type:ty,)+) => {
        match $kind {
            $($crate::files::Type::$name => {
                type $T = $type;
                $body
            })+
        }
    };
}

/// `with_array!(tensor, x => body)`: the body with the array of whatever type as `x`.
macro_rules! with_array {
    ($($what:tt)+) => { $crate::files::tensor::types!(array $($what)+) };
}

/// `with_type!(kind, T => body)`: the body with the named type as `T`.
macro_rules! with_type {
    ($($what:tt)+) => { $crate::files::tensor::types!(kind $($what)+) };
}

pub(crate) use {types, with_array, with_type};

/// An element type as part of a [`Tensor`].
pub(crate) trait Sample: Element {
    fn tensor(array: ArrayD<Self>) -> Tensor;

    /// `None` where the elements are of another type.
    fn array(tensor: Tensor) -> Option<ArrayD<Self>>;
}

types!(define);

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        ElementType::from(*self).fmt(f)
    }
}

impl Type {
    /// That of the library's elements, which may come to have more.
    pub(crate) fn of(element: ElementType) -> Option<Self> {
        <Self as clap::ValueEnum>::value_variants()
            .iter()
            .copied()
            .find(|kind| ElementType::from(*kind) == element)
    }

    pub(crate) fn is_float(self) -> bool {
        !ElementType::from(self).is_integer()
    }

    pub(super) fn bytes(self) -> usize {
        ElementType::from(self).bytes()
    }

    /// The float of as many digits as sums of this type have.
    pub(crate) fn as_float(self) -> Self {
        match self {
            Self::F64 | Self::U32 | Self::I32 => Self::F64,
            Self::F16 => Self::F16,
            Self::F32 | Self::U8 | Self::I8 | Self::U16 | Self::I16 => Self::F32,
        }
    }
}

impl Tensor {
    pub(crate) fn shape(&self) -> &[usize] {
        with_array!(self, x => x.shape())
    }

    /// The elements, the last axis first, in this machine's order of bytes.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        fn of<T: Pod>(x: &ArrayD<T>) -> Cow<'_, [u8]> {
            match x.as_slice() {
                Some(x) => Cow::Borrowed(bytemuck::cast_slice(x)),
                None => {
                    let x: Vec<T> = x.iter().copied().collect();
                    Cow::Owned(bytemuck::cast_slice(&x).to_vec())
                }
            }
        }
        with_array!(self, x => of(x))
    }

    /// With the elements in the order of their axes.
    pub(super) fn in_order(self) -> Self {
        fn of<T: Sample>(x: ArrayD<T>) -> Tensor {
            T::tensor(if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() })
        }
        with_array!(self, x => of(x))
    }

    /// The same elements with those axes.
    pub(crate) fn with_axes(self, axes: &[usize]) -> Result<Self> {
        fn of<T: Sample>(x: ArrayD<T>, axes: &[usize]) -> Result<Tensor> {
            let x = x.into_shape_with_order(axes);
            x.map(T::tensor).map_err(|error| Failure::work(error.to_string()))
        }
        with_array!(self, x => of(x, axes))
    }

    /// With its axes in another order.
    pub(super) fn permuted(self, axes: &[usize]) -> Self {
        with_array!(self, x => Sample::tensor(x.permuted_axes(axes)))
    }

    /// As the only one of a batch.
    pub(super) fn in_batch(self) -> Self {
        with_array!(self, x => Sample::tensor(x.insert_axis(Axis(0))))
    }

    /// Those of one type and shape as a batch; `None` of none, and where they differ.
    pub(super) fn stacked(all: Vec<Self>) -> Option<Self> {
        fn of<T: Sample>(all: Vec<Tensor>) -> Option<Tensor> {
            let arrays: Vec<_> = all.into_iter().map(T::array).collect::<Option<_>>()?;
            let arrays: Vec<_> = arrays.into_iter().map(|x| x.insert_axis(Axis(0))).collect();
            let views: Vec<_> = arrays.iter().map(|x| x.view()).collect();
            concatenate(Axis(0), &views).ok().map(T::tensor)
        }
        with_type!(all.first()?.kind(), T => of::<T>(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_type_is_known() {
        let named: Vec<ElementType> = Type::value_variants().iter().map(|t| (*t).into()).collect();
        assert!(ElementType::ALL.iter().all(|kind| named.contains(kind)), "{named:?}");
        for kind in Type::value_variants() {
            let name = kind.to_possible_value().map(|value| value.get_name().to_string());
            assert_eq!(name, Some(kind.to_string()));
            with_type!(*kind, T => {
                assert_eq!(T::TYPE, ElementType::from(*kind));
                let x = T::tensor(ArrayD::from_elem(vec![2, 3], T::from_f32(7.0)));
                assert_eq!((x.kind(), x.shape(), x.bytes().len()), (*kind, &[2, 3][..], 6 * size_of::<T>()));
                let both = Tensor::stacked(vec![x.clone(), x.clone()]).unwrap();
                assert_eq!(both, T::tensor(ArrayD::from_elem(vec![2, 2, 3], T::from_f32(7.0))));
                assert_eq!(x.in_batch().shape(), [1, 2, 3]);
            });
        }
    }

    #[test]
    fn others_are_no_batch() {
        let one = f32::tensor(ArrayD::zeros(vec![2]));
        assert_eq!(Tensor::stacked(Vec::new()), None);
        assert_eq!(Tensor::stacked(vec![one.clone(), u8::tensor(ArrayD::zeros(vec![2]))]), None);
        assert_eq!(Tensor::stacked(vec![one, f32::tensor(ArrayD::zeros(vec![3]))]), None);
    }
}
