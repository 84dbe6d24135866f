//! Puts every mutant of a file behind a switch: `if crate::__mutant(7) { a > b } else { a >= b }`.

use std::collections::BTreeMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One mutant as cargo-mutants lists it.
#[derive(Clone)]
pub struct Mutant {
    /// Counts from 1; what the switch is set to.
    pub id: usize,
    pub name: String,
    pub file: String,
    pub package: String,
    pub genre: String,
    pub replacement: String,
    /// Line and column, from 1, of what it replaces.
    pub start: (usize, usize),
}

/// A rewritten file, and which mutants stand where in it.
pub struct Rewritten {
    pub text: String,
    pub places: Vec<(Range<usize>, Vec<usize>)>,
    /// Mutants of a kind that can't be put behind a switch.
    pub left_out: Vec<usize>,
}

type Bytes = Range<usize>;

/// What stands in the source where a mutant can be.
#[derive(Clone)]
enum Node {
    Binary {
        op: Bytes,
        has_let: bool,
    },
    Unary {
        operand: Bytes,
    },
    Arm {
        pattern_end: usize,
        guarded: bool,
    },
    Guard,
    Field {
        name: String,
        value: Bytes,
        base: Bytes,
    },
    /// Whether the function gives `impl Iterator`: all ways out have one type.
    Body {
        iterator: bool,
    },
}

/// Nodes by genre and the byte at which cargo-mutants says that the mutant begins.
#[derive(Default)]
struct Nodes {
    found: BTreeMap<(&'static str, usize), (Bytes, Node)>,
    /// `const` of functions: a switch can't be read in them.
    consts: Vec<(Bytes, Bytes)>,
}

/// A node with its mutants.
struct Edit<'a> {
    range: Bytes,
    node: Node,
    mutants: Vec<&'a Mutant>,
}

fn bytes(node: &impl Spanned) -> Bytes {
    node.span().byte_range()
}

impl Nodes {
    fn add(&mut self, genre: &'static str, at: usize, range: Bytes, node: Node) {
        self.found.insert((genre, at), (range, node));
    }

    fn function(&mut self, sig: &syn::Signature, block: &syn::Block) {
        if let Some(token) = &sig.constness {
            self.consts.push((bytes(token), bytes(block)));
        }
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else { return };
        let iterator = matches!(&sig.output, syn::ReturnType::Type(_, ty) if matches!(**ty, syn::Type::ImplTrait(_)));
        let range = bytes(first).start..bytes(last).end;
        self.add("FnValue", range.start, range, Node::Body { iterator });
    }
}

impl<'ast> Visit<'ast> for Nodes {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.function(&node.sig, &node.block);
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.function(&node.sig, &node.block);
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let op = bytes(&node.op);
        let has_let = holds_let(&node.left) || holds_let(&node.right);
        self.add("BinaryOperator", op.start, bytes(node), Node::Binary { op, has_let });
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        self.add("UnaryOperator", bytes(&node.op).start, bytes(node), Node::Unary { operand: bytes(&*node.expr) });
        visit::visit_expr_unary(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let pattern = bytes(&node.pat);
        let guarded = node.guard.is_some();
        // The place where a guard can be written: behind the pattern, or before the guard that there is.
        let range = match &node.guard {
            Some((_, guard)) => bytes(&**guard),
            None => pattern.end..pattern.end,
        };
        self.add("MatchArm", pattern.start, range.clone(), Node::Arm { pattern_end: pattern.end, guarded });
        if guarded {
            self.add("MatchArmGuard", range.start, range, Node::Guard);
        }
        visit::visit_arm(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        if let Some(base) = &node.rest {
            for field in &node.fields {
                let syn::Member::Named(name) = &field.member else { continue };
                let range = bytes(field);
                let field = Node::Field { name: name.to_string(), value: bytes(&field.expr), base: bytes(&**base) };
                self.add("StructField", range.start, range, field);
            }
        }
        visit::visit_expr_struct(self, node);
    }
}

/// Whether a condition binds: `a && let Some(b) = c` can't be taken apart.
fn holds_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(it) => holds_let(&it.left) || holds_let(&it.right),
        _ => false,
    }
}

/// Rewrites one file. `mutants` are those of this file that are wanted.
pub fn rewrite(source: &str, mutants: &[&Mutant]) -> Rewritten {
    let file = syn::parse_file(source).expect("the source is Rust");
    let mut nodes = Nodes::default();
    nodes.visit_file(&file);
    let mut edits: BTreeMap<(usize, usize, u8), Edit<'_>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for mutant in mutants {
        let at = offset(source, mutant.start);
        let genre = mutant.genre.as_str();
        let key = nodes.found.keys().find(|(g, start)| *g == genre && *start == at).copied();
        match key.and_then(|key| nodes.found.get(&key)) {
            None | Some((_, Node::Binary { has_let: true, .. })) => left_out.push(mutant.id),
            Some((range, node)) => {
                // Outer before inner; where two begin and end alike, the body before the guard before what is in it.
                let rank = match node {
                    Node::Body { .. } => 0,
                    Node::Arm { .. } => 1,
                    Node::Guard => 2,
                    _ => 3,
                };
                let key = (range.start, usize::MAX - range.end, rank);
                let edit = || Edit { range: range.clone(), node: node.clone(), mutants: Vec::new() };
                edits.entry(key).or_insert_with(edit).mutants.push(mutant);
            }
        }
    }
    let edits: Vec<Edit<'_>> = edits.into_values().collect();
    let is_mutated = |body: &Bytes| edits.iter().any(|edit| body.contains(&edit.range.start));
    let consts: Vec<Bytes> =
        nodes.consts.iter().filter(|(_, body)| is_mutated(body)).map(|(token, _)| token.clone()).collect();
    let mut out = Out { source, edits: &edits, consts: &consts, text: String::new(), places: Vec::new() };
    out.write(0..source.len(), 0);
    Rewritten { text: out.text, places: out.places, left_out }
}

fn offset(source: &str, (line, column): (usize, usize)) -> usize {
    let mut begins = 0;
    for text in source.split_inclusive('\n').take(line - 1) {
        begins += text.len();
    }
    let rest = &source[begins..];
    begins + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}

struct Out<'a> {
    source: &'a str,
    edits: &'a [Edit<'a>],
    consts: &'a [Bytes],
    text: String,
    places: Vec<(Bytes, Vec<usize>)>,
}

impl Out<'_> {
    /// Writes a stretch of the source with the edits in it, from the `first` on.
    fn write(&mut self, range: Bytes, first: usize) {
        let mut at = range.start;
        let mut next = first;
        while let Some(edit) = self.edits.get(next) {
            if edit.range.start >= at && edit.range.end <= range.end {
                self.plain(at..edit.range.start);
                self.edit(edit, next + 1);
                at = edit.range.end;
            }
            next += 1;
        }
        self.plain(at..range.end);
    }

    fn plain(&mut self, range: Bytes) {
        let mut at = range.start;
        for token in self.consts.iter().filter(|it| range.start <= it.start && it.end <= range.end) {
            self.text.push_str(&self.source[at..token.start]);
            at = token.end;
        }
        self.text.push_str(&self.source[at..range.end]);
    }

    fn edit(&mut self, edit: &Edit<'_>, next: usize) {
        let begins = self.text.len();
        let mut ids: Vec<usize> = edit.mutants.iter().map(|it| it.id).collect();
        match &edit.node {
            Node::Body { iterator: false } => {
                for mutant in &edit.mutants {
                    self.branch(mutant.id, "if ", &format!("return {};", mutant.replacement), " ");
                }
                return self.write(edit.range.clone(), next);
            }
            Node::Body { iterator: true } => {
                // One type for all: the first is an `A`, the second a `B` of an `A`, the body itself lies deepest.
                for (depth, mutant) in edit.mutants.iter().enumerate() {
                    let then = format!(
                        "{}crate::__Either::A({}){}",
                        "crate::__Either::B(".repeat(depth),
                        mutant.replacement,
                        ")".repeat(depth)
                    );
                    self.branch(mutant.id, "if ", &then, " else ");
                }
                let depth = edit.mutants.len();
                self.text.push_str(&format!("{{ {}{{ ", "crate::__Either::B(".repeat(depth)));
                self.write(edit.range.clone(), next);
                self.text.push_str(&format!(" }}{} }}", ")".repeat(depth)));
                // If they do not fit together it is the last, of another item's type, until the compiler says otherwise.
                ids.drain(..depth.saturating_sub(1));
            }
            Node::Binary { op, .. } => {
                let (left, right) = (&self.source[edit.range.start..op.start], &self.source[op.end..edit.range.end]);
                self.text.push('(');
                for mutant in &edit.mutants {
                    self.branch(mutant.id, "if ", &format!("{left}{}{right}", mutant.replacement), " else ");
                }
                self.rest(edit, next);
            }
            Node::Unary { operand } => {
                self.text.push('(');
                for mutant in &edit.mutants {
                    self.branch(mutant.id, "if ", &self.source[operand.clone()], " else ");
                }
                self.rest(edit, next);
            }
            Node::Arm { pattern_end, guarded } => {
                debug_assert!(*guarded || *pattern_end == edit.range.start);
                let off = ids.iter().map(|id| format!("!{}", switch(*id))).collect::<Vec<_>>().join(" && ");
                if *guarded {
                    self.text.push_str(&format!("{off} && ("));
                    self.write(edit.range.clone(), next);
                    self.text.push(')');
                } else {
                    self.text.push_str(&format!(" if {off}"));
                }
            }
            Node::Guard => {
                for mutant in &edit.mutants {
                    let (not, then) = if mutant.replacement == "true" { ("", "||") } else { ("!", "&&") };
                    self.text.push_str(&format!("({not}{} {then} ", switch(mutant.id)));
                }
                self.text.push('(');
                self.write(edit.range.clone(), next);
                self.text.push_str(&")".repeat(edit.mutants.len() + 1));
            }
            Node::Field { name, value, base } => {
                let base = &self.source[base.clone()];
                self.text.push_str(&format!("{name}: "));
                for mutant in &edit.mutants {
                    self.branch(mutant.id, "if ", &format!("({base}).{name}.clone()"), " else ");
                }
                self.text.push_str("{ ");
                self.write(value.clone(), next);
                self.text.push_str(" }");
            }
        }
        self.places.push((begins..self.text.len(), ids));
    }

    fn rest(&mut self, edit: &Edit<'_>, next: usize) {
        self.text.push_str("{ ");
        self.write(edit.range.clone(), next);
        self.text.push_str(" })");
    }

    fn branch(&mut self, id: usize, before: &str, then: &str, behind: &str) {
        let begins = self.text.len();
        self.text.push_str(&format!("{before}{} {{ {then} }}", switch(id)));
        self.places.push((begins..self.text.len(), vec![id]));
        self.text.push_str(behind);
    }
}

fn switch(id: usize) -> String {
    format!("crate::__mutant({id})")
}

/// What the crate gets at the end of `lib.rs`. With `MUTANTS_REACHED` it writes each switch that is asked, once, to that file.
pub const SWITCH: &str = r#"
#[doc(hidden)]
#[allow(missing_docs, missing_debug_implementations, reason = "only in the copy that is mutated")]
pub enum __Either<A, B> {
    A(A),
    B(B),
}

impl<A: Iterator, B: Iterator<Item = A::Item>> Iterator for __Either<A, B> {
    type Item = A::Item;

    fn next(&mut self) -> Option<A::Item> {
        match self {
            Self::A(it) => it.next(),
            Self::B(it) => it.next(),
        }
    }
}

impl<A: DoubleEndedIterator, B: DoubleEndedIterator<Item = A::Item>> DoubleEndedIterator for __Either<A, B> {
    fn next_back(&mut self) -> Option<A::Item> {
        match self {
            Self::A(it) => it.next_back(),
            Self::B(it) => it.next_back(),
        }
    }
}

#[doc(hidden)]
#[allow(missing_docs, clippy::all, reason = "only in the copy that is mutated")]
pub fn __mutant(id: usize) -> bool {
    use std::sync::{Mutex, OnceLock};
    static ON: OnceLock<usize> = OnceLock::new();
    static SEEN: OnceLock<Option<Mutex<(std::fs::File, std::collections::BTreeSet<usize>)>>> = OnceLock::new();
    let seen = SEEN.get_or_init(|| {
        let path = std::env::var_os("MUTANTS_REACHED")?;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path).ok()?;
        Some(Mutex::new((file, std::collections::BTreeSet::new())))
    });
    if let Some(seen) = seen {
        if let Ok(mut seen) = seen.lock() {
            if seen.1.insert(id) {
                let _ = std::io::Write::write_all(&mut seen.0, format!("{id}\n").as_bytes());
            }
        }
    }
    *ON.get_or_init(|| std::env::var("MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or(0)) == id
}
"#;
