//! [`Expression`]: a metric's formula as a tree, made by evaluating the catalogue in a [`Number`] that notes down what is done to it.

use std::cell::RefCell;

use crate::fit::{FitNumbers, Terms};
use crate::metric::Metric;
use crate::number::{Number, Sealed};
use crate::window::Grid;

/// What a formula depends on: the columns of a fit, and the number of rows of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Input {
    A2,
    A1,
    B,
    SsRes,
    SsTot,
    YLast,
    Rows,
}

impl Input {
    pub(super) const ALL: [Self; 7] =
        [Self::A2, Self::A1, Self::B, Self::SsRes, Self::SsTot, Self::YLast, Self::Rows];

    /// Its name as an argument.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::A2 => "a2",
            Self::A1 => "a1",
            Self::B => "b",
            Self::SsRes => "ss_res",
            Self::SsTot => "ss_tot",
            Self::YLast => "y_last",
            Self::Rows => "rows",
        }
    }

    /// The column of a fit that it is; none for the number of rows.
    pub(super) fn of_fit<N: Copy>(self, fit: &FitNumbers<N>) -> Option<N> {
        match self {
            Self::A2 => Some(fit.a2),
            Self::A1 => Some(fit.a1),
            Self::B => Some(fit.b),
            Self::SsRes => Some(fit.ss_res),
            Self::SsTot => Some(fit.ss_tot),
            Self::YLast => Some(fit.y_last),
            Self::Rows => None,
        }
    }
}

/// An operation on one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Neg,
    Abs,
    Sqrt,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

impl Binary {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
        }
    }
}

/// A formula in doubles.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Constant(f64),
    Input(Input),
    Unary(Unary, Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
}

impl Expression {
    /// The formula of `metric`.
    pub(super) fn new(metric: Metric) -> Self {
        let notes = RefCell::new(Vec::new());
        let input = |input: Input| noted(&notes, Self::Input(input));
        let fit = FitNumbers {
            a2: input(Input::A2),
            a1: input(Input::A1),
            b: input(Input::B),
            ss_res: input(Input::SsRes),
            ss_tot: input(Input::SsTot),
            y_last: input(Input::YLast),
        };
        let terms = Terms::new(&fit, &Grid::from_rows(input(Input::Rows)));
        metric.of(&terms).expression()
    }

    /// What it depends on, in the order of [`Input::ALL`].
    pub(super) fn inputs(&self) -> Vec<Input> {
        Input::ALL.into_iter().filter(|input| self.uses(*input)).collect()
    }

    fn uses(&self, input: Input) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Input(own) => *own == input,
            Self::Unary(_, of) => of.uses(input),
            Self::Binary(_, left, right) => left.uses(input) || right.uses(input),
        }
    }
}

/// Everything noted so far.
type Notes = RefCell<Vec<Expression>>;

/// A number that stands for an expression among the notes, so that it can be `Copy`.
#[derive(Clone, Copy)]
enum Noted<'n> {
    Constant(f64),
    At(&'n Notes, usize),
}

fn noted(notes: &Notes, expression: Expression) -> Noted<'_> {
    let mut all = notes.borrow_mut();
    all.push(expression);
    Noted::At(notes, all.len() - 1)
}

impl<'n> Noted<'n> {
    fn expression(self) -> Expression {
        match self {
            Self::Constant(value) => Expression::Constant(value),
            Self::At(notes, at) => notes.borrow()[at].clone(),
        }
    }

    fn unary(self, operation: Unary, of_constant: fn(f64) -> f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(of_constant(value)),
            Self::At(notes, _) => noted(notes, Expression::Unary(operation, Box::new(self.expression()))),
        }
    }

    fn binary(self, operation: Binary, other: Self, of_constants: fn(f64, f64) -> f64) -> Self {
        let notes = match (self, other) {
            (Self::Constant(left), Self::Constant(right)) => {
                return Self::Constant(of_constants(left, right));
            }
            (Self::At(notes, _), _) | (_, Self::At(notes, _)) => notes,
        };
        let (left, right) = (Box::new(self.expression()), Box::new(other.expression()));
        noted(notes, Expression::Binary(operation, left, right))
    }
}

macro_rules! operators {
    ($($name:ident $method:ident;)*) => {
        $(impl std::ops::$name for Noted<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(Binary::$name, other, std::ops::$name::$method)
            }
        })*
    };
}

operators! { Add add; Sub sub; Mul mul; Div div; }

impl std::ops::Neg for Noted<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary(Unary::Neg, std::ops::Neg::neg)
    }
}

impl Sealed for Noted<'_> {}

impl Number for Noted<'_> {
    fn from_f64(value: f64) -> Self {
        Self::Constant(value)
    }
    fn abs(self) -> Self {
        self.unary(Unary::Abs, f64::abs)
    }
    fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt, f64::sqrt)
    }
}
