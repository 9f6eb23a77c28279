//! Values of options as text: sizes, padding, border, activation, algorithm.

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use channelwise::{Activation, Algorithm, Border, Borders, Layout, Padding};

/// Rows and columns.
pub(crate) type Region = (Range<usize>, Range<usize>);

type Parsed<T> = Result<T, String>;

/// `2` or `2,3`: rows and columns.
pub(crate) fn pair(text: &str) -> Parsed<(usize, usize)> {
    match list::<usize>(text, "a whole number")?[..] {
        [both] => Ok((both, both)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err("one number for both axes or two (rows,columns) are needed".into()),
    }
}

/// `same`, `valid`, `full`, `3` or `1,2,3,4` (top, bottom, left, right).
pub(crate) fn padding(text: &str) -> Parsed<Padding> {
    match text.to_ascii_lowercase().as_str() {
        "same" => return Ok(Padding::Same),
        "valid" => return Ok(Padding::Valid),
        "full" => return Ok(Padding::Full),
        _ => {}
    }
    let needed = "same, valid, full, one number for all sides or four (top,bottom,left,right)";
    match list::<usize>(text, needed)?[..] {
        [all] => Ok(Padding::all(all)),
        [top, bottom, left, right] => Ok(Padding::Explicit { top, bottom, left, right }),
        _ => Err(format!("{needed} are needed")),
    }
}

/// A border, or one for rows and one for columns.
pub(crate) fn borders(text: &str) -> Parsed<Borders> {
    match text.split_once(',') {
        None => Ok(border(text)?.into()),
        Some((rows, columns)) => Ok((border(rows)?, border(columns)?).into()),
    }
}

/// `3:10,0:40`: rows and columns, counted from 0, the last not among them.
pub(crate) fn region(text: &str) -> Parsed<Region> {
    let range = |text: &str| -> Parsed<_> {
        let (from, to) = text.split_once(':').ok_or("R0:R1,C0:C1 is needed, as in 0:100,20:80")?;
        Ok(one(from, "a whole number")?..one(to, "a whole number")?)
    };
    let (rows, columns) = text.split_once(',').ok_or("R0:R1,C0:C1 is needed, as in 0:100,20:80")?;
    Ok((range(rows)?, range(columns)?))
}

/// `zero`, `constant:V` and the others.
fn border(text: &str) -> Parsed<Border> {
    let (name, value) = split(text);
    match (name.as_str(), value) {
        ("zero", None) => Ok(Border::ZERO),
        ("constant", Some(value)) => Ok(Border::Constant(one(value, "a number")?)),
        ("constant", None) => Err("it needs its value, as in constant:0.5".into()),
        ("replicate", None) => Ok(Border::Replicate),
        ("reflect", None) => Ok(Border::Reflect),
        ("reflect101", None) => Ok(Border::Reflect101),
        ("wrap", None) => Ok(Border::Wrap),
        ("zero" | "replicate" | "reflect" | "reflect101" | "wrap", Some(_)) => {
            Err(format!("{name} takes no value"))
        }
        _ => {
            Err("no such border; there are zero, constant:V, replicate, reflect, reflect101, wrap"
                .into())
        }
    }
}

/// Slope of `leaky` where none is given, as in PyTorch.
const LEAKY: f32 = 0.01;

/// `relu`, `clamp:LO,HI` and the others.
pub(crate) fn activation(text: &str) -> Parsed<Activation> {
    let (name, values) = split(text);
    let plain = match name.as_str() {
        "none" => Activation::None,
        "relu" => Activation::Relu,
        "relu6" => Activation::Relu6,
        "abs" => Activation::Abs,
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "gelu" => Activation::Gelu,
        "leaky" => match values {
            None => return Ok(Activation::Leaky(LEAKY)),
            Some(slope) => return Ok(Activation::Leaky(one(slope, "a number")?)),
        },
        "clamp" => {
            return match list::<f32>(values.unwrap_or_default(), "two numbers, as in clamp:-1,1")?[..]
            {
                [lo, hi] => Ok(Activation::Clamp(lo, hi)),
                _ => Err("clamp needs two numbers, as in clamp:-1,1".into()),
            };
        }
        _ => {
            return Err(
                "no such activation; there are none, relu, relu6, abs, leaky[:A], sigmoid, \
                        tanh, gelu, clamp:LO,HI"
                    .into(),
            );
        }
    };
    match values {
        None => Ok(plain),
        Some(_) => Err(format!("{name} takes no values")),
    }
}

/// `--bias`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bias {
    Numbers(Vec<f64>),
    File(PathBuf),
}

/// `1000`, `512M`, `4G` or `4GiB`: K, M, G and T are powers of 1024.
pub(crate) fn memory(text: &str) -> Parsed<u64> {
    let needed = || "bytes are needed, as in 512M or 4G".to_string();
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(end);
    let number: u64 = digits.parse().map_err(|_| needed())?;
    let power = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(needed()),
    };
    number.checked_mul(1 << (10 * power)).ok_or_else(|| "so many cannot be counted".into())
}

/// `3/7`: the third of seven.
pub(crate) fn shard(text: &str) -> Parsed<(usize, usize)> {
    let needed = "a part and their number are needed, as in 3/7, from 1 on";
    let (number, of) = text.split_once('/').ok_or(needed)?;
    let (number, of) = (one(number, needed)?, one(of, needed)?);
    if number == 0 || number > of { Err(needed.into()) } else { Ok((number, of)) }
}

/// `0.5`, `1,-2` or the name of a file. One that looks like numbers is `./1`.
pub(crate) fn bias(text: &str) -> Parsed<Bias> {
    match list(text, "a number") {
        Ok(numbers) => Ok(Bias::Numbers(numbers)),
        Err(_) if text.is_empty() || text.starts_with('-') => {
            Err("numbers, as in 0.5 and 1,-2, or a .npy file are needed".into())
        }
        Err(_) => Ok(Bias::File(text.into())),
    }
}

/// `nhwc` or `nchw`.
pub(crate) fn layout(text: &str) -> Parsed<Layout> {
    match text.to_ascii_lowercase().as_str() {
        "nhwc" => Ok(Layout::Nhwc),
        "nchw" => Ok(Layout::Nchw),
        _ => Err("no such layout; there are nhwc and nchw".into()),
    }
}

/// `auto` or the name of an algorithm.
pub(crate) fn algorithm(text: &str) -> Parsed<Algorithm> {
    let wanted = text.to_ascii_lowercase();
    algorithms()
        .find(|algorithm| algorithm.to_string() == wanted)
        .ok_or_else(|| format!("no such algorithm; there are {}", algorithm_names()))
}

/// All of them, for people.
pub(crate) fn algorithm_names() -> String {
    algorithms().map(|algorithm| algorithm.to_string()).collect::<Vec<_>>().join(", ")
}

fn algorithms() -> impl Iterator<Item = Algorithm> {
    std::iter::once(Algorithm::Auto).chain(Algorithm::ALL.iter().copied())
}

/// The lower-case name before a colon, and what follows it.
fn split(text: &str) -> (String, Option<&str>) {
    match text.split_once(':') {
        Some((name, values)) => (name.to_ascii_lowercase(), Some(values)),
        None => (text.to_ascii_lowercase(), None),
    }
}

fn one<T: FromStr>(text: &str, needed: &str) -> Parsed<T> {
    text.trim().parse().map_err(|_| format!("`{text}` is not {needed}"))
}

fn list<T: FromStr>(text: &str, needed: &str) -> Parsed<Vec<T>> {
    text.split(',').map(|part| one(part, needed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood() {
        assert_eq!(pair("2"), Ok((2, 2)));
        assert_eq!(pair("2, 3"), Ok((2, 3)));
        assert_eq!(padding("SAME"), Ok(Padding::Same));
        assert_eq!(padding("3"), Ok(Padding::all(3)));
        assert_eq!(
            padding("1,2,3,4"),
            Ok(Padding::Explicit { top: 1, bottom: 2, left: 3, right: 4 })
        );
        assert_eq!(border("constant:-1.5"), Ok(Border::Constant(-1.5)));
        let both = Borders::from((Border::Replicate, Border::Wrap));
        assert_eq!(borders("replicate,wrap"), Ok(both));
        assert_eq!(borders("wrap"), Ok(Border::Wrap.into()));
        assert_eq!(region("3:10, 0:40"), Ok((3..10, 0..40)));
        assert_eq!(border("Reflect101"), Ok(Border::Reflect101));
        assert_eq!(activation("leaky"), Ok(Activation::Leaky(0.01)));
        assert_eq!(activation("leaky:-0.2"), Ok(Activation::Leaky(-0.2)));
        assert_eq!(activation("clamp:-2.5,1e3"), Ok(Activation::Clamp(-2.5, 1000.0)));
        assert_eq!(activation("GELU"), Ok(Activation::Gelu));
        assert_eq!(algorithm("Direct"), Ok(Algorithm::Direct));
        assert_eq!(bias("-0.1"), Ok(Bias::Numbers(vec![-0.1])));
        assert_eq!(bias("-1, 2e3,0"), Ok(Bias::Numbers(vec![-1.0, 2000.0, 0.0])));
        assert_eq!(bias("b.npy"), Ok(Bias::File("b.npy".into())));
        assert_eq!(bias("./1"), Ok(Bias::File("./1".into())));
        assert_eq!(layout("NCHW"), Ok(Layout::Nchw));
        for (text, bytes) in [
            ("1000", 1000),
            ("512M", 512 << 20),
            ("4g", 4 << 30),
            ("2 KiB", 2048),
            ("1TB", 1 << 40),
        ] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        assert_eq!(shard("3/7"), Ok((3, 7)));
    }

    #[test]
    fn what_is_refused() {
        for text in ["", "x", "1,2,3", "-1", "1.5", "1,", "99999999999999999999999"] {
            assert!(pair(text).is_err(), "{text}");
        }
        for text in ["", "1,2", "some", "-1", "1,2,3,4,5"] {
            assert!(padding(text).is_err(), "{text}");
        }
        for text in ["", "zero", "wrap,", "wrap,wrap,wrap"] {
            assert!(text == "zero" || borders(text).is_err(), "{text}");
        }
        for text in ["", "1:2", "1:2,3", "a:2,3:4", "-1:2,3:4", "1:2,3:4,5:6"] {
            assert!(region(text).is_err(), "{text}");
        }
        for text in ["", "constant", "constant:", "constant:x", "zero:1", "mirror"] {
            assert!(border(text).is_err(), "{text}");
        }
        for text in ["", "clamp", "clamp:1", "clamp:1,2,3", "relu:1", "leaky:", "swish"] {
            assert!(activation(text).is_err(), "{text}");
        }
        for text in ["", "-", "--flip", "-1,x"] {
            assert!(bias(text).is_err(), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "3X", "99999999999T"] {
            assert!(memory(text).is_err(), "{text}");
        }
        for text in ["", "3", "0/7", "8/7", "a/b", "1/2/3"] {
            assert!(shard(text).is_err(), "{text}");
        }
        assert!(algorithm("winograd").is_err() && layout("chwn").is_err());
    }
}
