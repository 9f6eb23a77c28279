//! A source file as the rules see it: what it names, and what it declares.

use std::slice;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, Item, ItemMod, ItemUse, Meta, Path, UseTree, Visibility};

/// A path that code names.
#[derive(Clone, Debug)]
pub struct Named {
    pub segments: Vec<String>,
    pub line: usize,
    /// Where it leads from the crate's root, if it begins in this module or a child of it.
    pub path: Vec<String>,
    /// Of an import, the name it gives here, from the crate's root too.
    pub gives: Option<Vec<String>>,
    /// `pub use`.
    pub public: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Source {
    pub file: String,
    /// The module it is: none for `lib.rs`, `bin` first for programs.
    pub module: Vec<String>,
    pub lines: usize,
    pub paths: Vec<Named>,
    /// What is declared `pub` outside of any block, and where.
    pub public: Vec<(String, usize)>,
    /// Modules that are compiled for tests only.
    pub tests: Vec<Vec<String>>,
    /// While it is read, the module within the file.
    here: Vec<String>,
}

impl Source {
    /// Reads `text`, the content of `file`: a path from the crate's root, with `/`.
    pub fn read(file: &str, text: &str) -> Self {
        let names = file.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        let names = names.filter(|name| !["lib", "main", "mod"].contains(name));
        let module: Vec<String> = names.map(String::from).collect();
        let (lines, here) = (text.lines().count(), module.clone());
        let mut source = Self { file: file.into(), module, lines, here, ..Self::default() };
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for item in &tree.items {
            if let (attributes, Some((Visibility::Public(public), name))) = parts(item)
                && !attributes.iter().any(for_tests)
            {
                source.public.push((name.to_string(), line(public.span)));
            }
        }
        source.visit_file(&tree);
        source
    }

    /// The top module, which has a row in the tables; `lib` and `bin` count as such.
    pub fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Notes a path: any of an import, but elsewhere a single word is no path.
    fn name(&mut self, words: &[Ident], alias: Option<&Ident>, import: Option<&Visibility>) {
        let Some(last) = words.last().filter(|_| words.len() > 1 || import.is_some()) else {
            return;
        };
        let segments: Vec<String> = words.iter().map(Ident::to_string).collect();
        let mut path = self.here.clone();
        for segment in &segments {
            match segment.as_str() {
                // A program is a crate of its own.
                "crate" => path.truncate(if self.room() == "bin" { 2 } else { 0 }),
                "super" => drop(path.pop()),
                "self" => {}
                name => path.push(name.to_string()),
            }
        }
        let name = alias.map(Ident::to_string).or(path.last().cloned());
        let gives = import.map(|_| [&*self.here, name.as_slice()].concat());
        let public = matches!(import, Some(Visibility::Public(_)));
        self.paths.push(Named { segments, line: line(last.span()), path, gives, public });
    }

    /// Every leaf of an import in full.
    fn leaves(&mut self, tree: &UseTree, prefix: &[Ident], public: &Visibility) {
        let (leaf, alias) = match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, slice::from_ref(&path.ident)].concat();
                return self.leaves(&path.tree, &prefix, public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.leaves(tree, prefix, public));
            }
            UseTree::Name(leaf) => (leaf.ident.clone(), None),
            UseTree::Rename(leaf) => (leaf.ident.clone(), Some(&leaf.rename)),
            UseTree::Glob(leaf) => (Ident::new("_", leaf.star_token.span), None),
        };
        self.name(&[prefix, &[leaf]].concat(), alias, Some(public));
    }

    /// Paths among the tokens of a macro, which `syn` leaves as they are. What stands in braces
    /// behind `prefix::` goes on from there, as imports do.
    fn tokens(&mut self, tokens: TokenStream, prefix: &[Ident]) {
        let mut path = prefix.to_vec();
        let mut colons = 2;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 && path != ["use"] {
                        self.words(&path);
                        path.clear();
                    }
                    path.push(word);
                    colons = 0;
                }
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons += 1,
                other => {
                    if let TokenTree::Group(group) = other {
                        let goes_on = colons == 2 && group.delimiter() == Delimiter::Brace;
                        self.tokens(group.stream(), if goes_on { &path } else { &[] });
                    }
                    self.words(&path);
                    path = prefix.to_vec();
                    colons = 2;
                }
            }
        }
        self.words(&path);
    }

    fn words(&mut self, path: &[Ident]) {
        match path {
            [first, path @ ..] if first == "use" => {
                self.name(path, None, Some(&Visibility::Inherited));
            }
            _ => self.name(path, None, None),
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, declared) = parts(item);
        if !attributes.iter().any(for_tests) {
            visit::visit_item(self, item);
        } else if let (Item::Mod(_), Some((_, name))) = (item, declared) {
            self.tests.push([&*self.here, &[name.to_string()]].concat());
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !item.attrs.iter().any(for_tests) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.here.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.here.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.leaves(&item.tree, &[], &item.vis);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let words: Vec<Ident> = path.segments.iter().map(|s| s.ident.clone()).collect();
        self.name(&words, None, None);
        visit::visit_path(self, path);
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens.clone(), &[]);
    }

    /// Attributes import nothing, and most are documentation.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn line(span: Span) -> usize {
    span.start().line
}

/// `#[cfg(test)]`, alone or with more.
fn for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let said = list.tokens.to_string().replace(' ', "");
    list.path.is_ident("cfg") && (said == "test" || said.starts_with("all(test,"))
}

/// The attributes of an item, and what name it declares for whom.
fn parts(item: &Item) -> (&[Attribute], Option<(&Visibility, &Ident)>) {
    match item {
        Item::Const(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Enum(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Fn(i) => (&i.attrs, Some((&i.vis, &i.sig.ident))),
        Item::Mod(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Static(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Struct(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Trait(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Type(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Union(i) => (&i.attrs, Some((&i.vis, &i.ident))),
        Item::Impl(i) => (&i.attrs, None),
        Item::Macro(i) => (&i.attrs, None),
        Item::Use(i) => (&i.attrs, None),
        _ => (&[], None),
    }
}
