//! Which element type the results get.

use crate::args::RunArgs;
use crate::failure::{Failure, Result, say};
use crate::files::{Input, Target, Type};
use crate::outputs::Pair;

/// The type asked for, or that of the input, or a float where the last step makes fractions. Images but TIFF
/// and OpenEXR hold integers: of 16 bits where the input has them and the format can, or where that is asked for.
pub(crate) fn out_type(
    args: &RunArgs,
    pair: &Pair,
    input: &Input,
    target: Option<&Target>,
) -> Result<Type> {
    let of_input = input.tensor.kind();
    let fractions = args.activation.needs_float() && args.pointwise.is_none();
    let unasked = if fractions { of_input.as_float() } else { of_input };
    let wanted = args.out_type.unwrap_or(unasked);
    if let Some(target) = target {
        target.check_type(wanted)?;
    }
    let Some(target) = target.filter(|target| target.is_image()) else { return Ok(wanted) };
    let name = pair.input.display();
    match target.holds() {
        (true, true) => return Ok(wanted),
        (true, false) if wanted.is_float() => {
            if wanted == Type::F64 {
                say("note: an exr file holds f32 at most, so the results are rounded to that");
            }
            return Ok(Type::F32);
        }
        (true, false) => {
            return Err(Failure::usage(format!(
                "an exr file holds floats: --out-type f32 writes the numbers of {name} as they are"
            )));
        }
        (false, _) => {}
    }
    if input.is_image() && of_input.is_float() {
        return Err(Failure::usage(format!(
            "{name} holds floats, which of the images written here only .tiff and .exr do; write one \
             of these or .npy"
        )));
    }
    Ok(match args.out_type.unwrap_or(of_input) {
        Type::U16 if target.is_deep() => Type::U16,
        Type::U8 | Type::U16 => Type::U8,
        float if float.is_float() => {
            if args.out_type.is_some() {
                say(
                    "note: of images only .tiff and .exr hold floats, so the results are rounded to u8",
                );
            }
            Type::U8
        }
        other => {
            say(&format!(
                "note: of images only .tiff holds {other}, so the results are rounded to u8"
            ));
            Type::U8
        }
    })
}
