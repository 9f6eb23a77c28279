//! Which file each input goes to.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::files::{Kind, STANDARD, is_zarr};

/// One file on its way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) input: PathBuf,
    pub(crate) output: Option<PathBuf>,
}

/// The pairs that `output` asks for: a file, `-`, a folder for files of the same names, or a name with `{stem}`
/// and perhaps `{ext}` for those of each input. A folder that ends with a slash is made.
pub(crate) fn pairs(
    inputs: &[PathBuf],
    output: Option<&Path>,
    format: Option<Kind>,
) -> Result<Vec<Pair>> {
    if inputs.iter().filter(|input| input.as_os_str() == STANDARD).count() > 1 {
        return Err(Failure::usage("standard input, -, is named twice, and can be read once"));
    }
    let Some(output) = output else {
        return Ok(inputs
            .iter()
            .map(|input| Pair { input: input.clone(), output: None })
            .collect());
    };
    let pattern = output.to_string_lossy();
    let is_folder =
        pattern.ends_with(std::path::is_separator) || output.is_dir() && !is_zarr(output);
    let is_pattern = pattern.contains("{stem}");
    if !is_folder && !is_pattern {
        let [input] = inputs else {
            return Err(Failure::usage(format!(
                "{} inputs and the one output {pattern}: a folder is needed, or a name with \
                 {{stem}}, as in out/{{stem}}-blurred.png",
                inputs.len()
            )));
        };
        return Ok(vec![Pair { input: input.clone(), output: Some(output.into()) }]);
    }
    if is_folder && !is_pattern {
        fs::create_dir_all(output).map_err(|error| Failure::writing(output, error))?;
    }
    let mut taken = HashMap::new();
    let mut pairs = Vec::new();
    for input in inputs {
        let stem =
            if input.as_os_str() == STANDARD { "stdin".into() } else { part(input.file_stem()) };
        let extension =
            format.map_or_else(|| part(input.extension()), |kind| kind.extension().into());
        let to = if is_pattern {
            PathBuf::from(pattern.replace("{stem}", &stem).replace("{ext}", &extension))
        } else {
            output.join(format!("{stem}.{extension}"))
        };
        // Two cubes may share a header.
        if let Some(other) = taken.insert(Kind::place(&to, format), input) {
            let (other, input, to) = (other.display(), input.display(), to.display());
            return Err(Failure::usage(format!("both {other} and {input} would go to {to}")));
        }
        pairs.push(Pair { input: input.clone(), output: Some(to) });
    }
    // Of each pair the input is read before the output is written, but not that of a later one.
    for (number, input) in inputs.iter().enumerate() {
        let place = Kind::place(input, None);
        let goes_there = |pair: &&Pair| {
            pair.output.as_deref().is_some_and(|output| Kind::place(output, format) == place)
        };
        if let Some(pair) = pairs[..number].iter().find(goes_there) {
            let (input, first) = (input.display(), pair.input.display());
            return Err(Failure::usage(format!(
                "{first} would go to {input}, which is an input that is read after it"
            )));
        }
    }
    Ok(pairs)
}

fn part(of: Option<&std::ffi::OsStr>) -> String {
    of.map_or(String::new(), |part| part.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inputs: &[&str], output: &str, format: Option<&str>) -> Result<Vec<String>> {
        let inputs: Vec<_> = inputs.iter().map(PathBuf::from).collect();
        let format = format.map(|name| name.parse().unwrap());
        let pairs = pairs(&inputs, Some(Path::new(output)), format)?;
        Ok(pairs.into_iter().map(|pair| pair.output.unwrap().display().to_string()).collect())
    }

    #[test]
    fn names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let made = at("new/folder/");
        let both = ["a/x.png", "b/y.tar.jpg"];
        assert_eq!(
            of(&both, &made, None).unwrap(),
            [at("new/folder/x.png"), at("new/folder/y.tar.jpg")]
        );
        assert!(Path::new(&made).is_dir());
        assert_eq!(of(&["-"], &made, Some("npy")).unwrap(), [at("new/folder/stdin.npy")]);
        assert_eq!(of(&both, "o/{stem}-1.{ext}", None).unwrap(), ["o/x-1.png", "o/y.tar-1.jpg"]);
        assert_eq!(of(&both, "o/{stem}.{ext}", Some("TIFF")).unwrap(), ["o/x.tif", "o/y.tar.tif"]);
        assert_eq!(of(&["a.png"], "b.npy", None).unwrap(), ["b.npy"]);
        for (inputs, output, part) in [
            (&["a.png", "b.png"][..], "c.png", "2 inputs and the one output c.png"),
            (&["a/x.png", "b/x.png"], "{stem}.npy", "both a/x.png and b/x.png would go to x.npy"),
            (&["a.png", "b.png", "a.png"], "{stem}.npy", "both a.png and a.png"),
            (&["-", "-"], "{stem}.npy", "named twice"),
            (&["a.png", "a-1.png"], "{stem}-1.png", "a.png would go to a-1.png, which is an input"),
            (&["a.img", "a.dat"], "o/{stem}.{ext}", "both a.img and a.dat would go to o/a.dat"),
            (&["b.npy", "b-1.hdr"], "{stem}-1.bsq", "b.npy would go to b-1.hdr, which is an input"),
        ] {
            let refused = of(inputs, output, None);
            assert!(
                matches!(&refused, Err(Failure::Usage(text)) if text.contains(part)),
                "{refused:?}"
            );
        }
        // In place, each after it is read.
        assert_eq!(of(&["a.png", "b.png"], "{stem}.png", None).unwrap(), ["a.png", "b.png"]);
    }
}
