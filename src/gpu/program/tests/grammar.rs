//! Which operators may stand side by side. naga takes some that WGSL's grammar does not have, and browsers refuse.

use super::{every, wgsl};

const BITS: [&str; 3] = ["&", "|", "^"];
const SHIFTS: [&str; 2] = ["<<", ">>"];
const SUMS: [&str; 5] = ["+", "-", "*", "/", "%"];
const RELATIONS: [&str; 6] = ["<", ">", "<=", ">=", "==", "!="];
const LOGIC: [&str; 2] = ["&&", "||"];
/// What ends an expression, or begins one.
const ENDS: [&str; 14] =
    [",", ";", "{", "}", "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "return"];

/// Operators that need parentheses between them, with what stands before the second.
fn mixed(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    let text: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let text = text.join(" ");
    let mut spaced = String::new();
    for c in text.chars() {
        match c {
            '(' | ')' | '[' | ']' | ',' | ';' | '{' | '}' => spaced.extend([' ', c, ' ']),
            c => spaced.push(c),
        }
    }
    let mut found = Vec::new();
    // The operators of each open parenthesis since the last that ended an expression.
    let mut open: Vec<Vec<&str>> = vec![Vec::new()];
    let words: Vec<&str> = spaced.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        let here = open.last_mut().unwrap();
        match *word {
            "(" | "[" => open.push(Vec::new()),
            ")" | "]" => drop(open.pop()),
            end if ENDS.contains(&end) => here.clear(),
            op => {
                let of = |kind: &[&str]| kind.contains(&op);
                let since = here.iter().rposition(|o| RELATIONS.contains(o) || LOGIC.contains(o));
                let operand = &here[since.map_or(0, |at| at + 1)..];
                let clause = here.iter().rposition(|o| LOGIC.contains(o)).map_or(0, |at| at + 1);
                let any = |kind: &[&str], ops: &[&str]| ops.iter().any(|o| kind.contains(o));
                let wrong = if of(&BITS) {
                    here.iter().any(|other| *other != op)
                } else if of(&SHIFTS) {
                    !operand.is_empty() || any(&BITS, here)
                } else if of(&SUMS) {
                    any(&SHIFTS, operand) || any(&BITS, here)
                } else if of(&RELATIONS) {
                    any(&RELATIONS, &here[clause..]) || any(&BITS, here)
                } else if of(&LOGIC) {
                    any(&BITS, here) || here.iter().any(|o| LOGIC.contains(o) && *o != op)
                } else {
                    continue;
                };
                if wrong {
                    found.push(words[at.saturating_sub(12)..=at].join(" "));
                }
                here.push(op);
            }
        }
    }
    found
}

#[test]
fn operators_are_mixed_as_the_grammar_has_it() {
    for shader in every() {
        let found = mixed(&wgsl(shader));
        assert!(found.is_empty(), "{}: {found:#?}", shader.label());
    }
    assert!(mixed(&crate::gpu::program::halves()).is_empty());
}

#[test]
fn what_browsers_refuse_is_seen() {
    for wrong in [
        "if a || b && c {",
        "x = a & b | c;",
        "x = a + b & c;",
        "x = a << b + c;",
        "x = a << b << c;",
        "x = a < b < c;",
        "x = a & b == c;",
        "f(a, b && (c) || d)",
    ] {
        assert_eq!(mixed(wrong).len(), 1, "{wrong}");
    }
    let fine = "if a || (b && c) { x = (a & b) | c; y = a + b << c == d; }";
    assert_eq!(mixed(fine).len(), 1, "of a sum that is shifted");
    for fine in [
        "if a < b && c + 1u >= d && !e {",
        "x = (a + b) << c; y = a | b | c;",
        "x = f(a && b) || g(c | d, e & f);",
        "let m = select(at, -1 - at, at < 0) % n;",
        "x = a << 2u == b >> 3u; // a || b && c",
    ] {
        assert!(mixed(fine).is_empty(), "{fine}");
    }
}
