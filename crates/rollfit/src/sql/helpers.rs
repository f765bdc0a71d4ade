//! Arithmetic in PostgreSQL that raises nothing: `rollfit_add`, `rollfit_mul`, `rollfit_div` and `rollfit_sqrt` give what the
//! processor gives, rounded to nearest, infinities and zeros with their signs. Each foresees from exact scaled copies of its
//! operands whether PostgreSQL would refuse the result.

use super::SqlFunction;
use super::postgres::DOUBLE;

pub(super) fn all(schema: &str) -> Vec<SqlFunction> {
    let two = vec![("x", DOUBLE), ("y", DOUBLE)];
    [
        ("add", two.clone(), add()),
        ("mul", two.clone(), mul()),
        ("div", two, div()),
        ("sqrt", vec![("x", DOUBLE)], sqrt()),
    ]
    .map(|(name, arguments, body)| {
        SqlFunction::postgres(schema, format!("rollfit_{name}"), arguments, "plpgsql", body)
    })
    .into()
}

/// A power of two, as a double.
fn power(exponent: i32) -> String {
    format!("{DOUBLE} '{:e}'", 2f64.powi(exponent))
}

/// Only where both summands are large can the sum be beyond all doubles; half of it never is.
fn add() -> String {
    format!(
        "
DECLARE
  half {DOUBLE};
BEGIN
  IF abs(x) > {large} AND abs(x) < 'Infinity' AND abs(y) > {large} AND abs(y) < 'Infinity' THEN
    half := x * '0.5' + y * '0.5';
    IF abs(half) >= {half_limit} THEN
      RETURN half * 'Infinity';
    END IF;
  END IF;
  RETURN x + y;
END
",
        large = power(969),
        half_limit = power(1023),
    )
}

/// A product is 0 where the exact one is at most half of the least double. At exactly half, as far as a double can tell,
/// the rounding error decides (Dekker's product).
fn mul() -> String {
    format!(
        "
DECLARE
  large {DOUBLE} := greatest(abs(x), abs(y));
  small {DOUBLE} := least(abs(x), abs(y));
  product {DOUBLE};
  head {DOUBLE};
  other_head {DOUBLE};
BEGIN
  IF small > 1 AND large < 'Infinity' THEN
    IF (large * {down}) * (small * {down}) >= 1 THEN
      RETURN x * 'Infinity' * sign(y);
    END IF;
  ELSIF small > 0 AND small < {root} AND large < 1 THEN
    large := large * {up};
    small := small * {up};
    product := large * small;
    IF product < '0.5' THEN
      RETURN x * '0' * sign(y);
    ELSIF product = '0.5' THEN
      head := large * '134217729' - (large * '134217729' - large);
      other_head := small * '134217729' - (small * '134217729' - small);
      IF ((head * other_head - product) + head * (small - other_head) + (large - head) * other_head)
          + (large - head) * (small - other_head) <= 0 THEN
        RETURN x * '0' * sign(y);
      END IF;
    END IF;
  END IF;
  RETURN x * y;
END
",
        down = power(-512),
        root = power(-537),
        up = power(537),
    )
}

/// Scaled by powers of two, dividend and divisor can be compared instead of divided. A quotient below 2^1024 is never rounded up
/// to it: a dividend that is less than twice the divisor is so by a unit in its own last place.
fn div() -> String {
    format!(
        "
BEGIN
  IF y = 0 THEN
    IF x = 0 OR x = 'NaN' THEN
      RETURN 'NaN';
    END IF;
    RETURN x * (CASE WHEN y::text = '-0' THEN {DOUBLE} '-Infinity' ELSE 'Infinity' END);
  ELSIF abs(x) < 'Infinity' AND abs(y) = 'Infinity' THEN
    RETURN x * '0' * sign(y);
  ELSIF abs(x) > {not_small} AND abs(x) < 'Infinity' AND abs(y) < 1 THEN
    IF abs(x) * {down} >= abs(y) * {up} THEN
      RETURN x * 'Infinity' * sign(y);
    END IF;
  ELSIF x <> 0 AND abs(x) < 1 AND abs(y) > 1 AND abs(y) < 'Infinity' THEN
    IF abs(x) * {far_up} <= abs(y) * {less} THEN
      RETURN x * '0' * sign(y);
    END IF;
  END IF;
  RETURN x / y;
END
",
        not_small = power(-100),
        down = power(-500),
        up = power(524),
        far_up = power(1000),
        less = power(-75),
    )
}

fn sqrt() -> String {
    "
BEGIN
  RETURN CASE WHEN x < 0 THEN 'NaN' ELSE sqrt(x) END;
END
"
    .to_owned()
}
