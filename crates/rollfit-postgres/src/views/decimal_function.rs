//! The functions that turn a double into the decimal that a `NUMERIC` column of features would hold: the shortest that reads back as the
//! same double, whatever `extra_float_digits` is in the session that asks.
//!
//! The server's own text of a double is that decimal, except where `extra_float_digits` is 0 or less, and from 2^53 on, where
//! the server avoids decimals that lie midway between two doubles. A function with a setting of its own costs twice as much, so it is
//! called only then.

use super::view_function::ViewFunction;

/// The name of the function that views call.
pub(super) const NAME: &str = "rollfit_numeric";
const GUARDED_NAME: &str = "rollfit_guarded_numeric";

const GUARDED_BODY: &str = "
DECLARE
  scaled double precision := abs(x);
  twos integer := 0;
  whole numeric;
  unit numeric;
  lower numeric;
  nearest numeric;
BEGIN
  IF NOT scaled >= '9007199254740992' OR scaled = 'Infinity' THEN
    RETURN x::text::numeric;
  END IF;
  WHILE scaled >= '9007199254740992' LOOP
    scaled := scaled / '2';
    twos := twos + 1;
  END LOOP;
  whole := scaled::bigint::numeric * 2::numeric ^ twos;
  FOR zeros IN REVERSE length(whole::text) - 1 .. 1 LOOP
    unit := 10::numeric ^ zeros;
    lower := trunc(whole, -zeros);
    nearest := round(whole, -zeros);
    IF nearest <= '1.7976931348623158e308'::numeric AND nearest::double precision = abs(x) THEN
      RETURN trim_scale(nearest * sign(x)::numeric);
    ELSIF lower > 0 AND lower::double precision = abs(x) THEN
      RETURN trim_scale(lower * sign(x)::numeric);
    ELSIF lower + unit <= '1.7976931348623158e308'::numeric AND (lower + unit)::double precision = abs(x) THEN
      RETURN trim_scale((lower + unit) * sign(x)::numeric);
    END IF;
  END LOOP;
  RETURN trim_scale(whole * sign(x)::numeric);
END
";

/// The two functions, the one first that the other calls.
pub(super) fn all(schema: &str) -> [ViewFunction; 2] {
    let body = format!(
        "
BEGIN
  RETURN CASE WHEN pg_catalog.current_setting('extra_float_digits') OPERATOR(pg_catalog.=) ANY ('{{1,2,3}}')
      AND pg_catalog.abs(x) OPERATOR(pg_catalog.<) '9007199254740992'
    THEN x::pg_catalog.text::pg_catalog.numeric ELSE {schema}.{GUARDED_NAME}(x) END;
END
"
    );
    let settings = |more: &[&str]| {
        let settings = more.iter().chain(&["search_path=pg_catalog, pg_temp"]);
        settings.map(|setting| (*setting).to_owned()).collect::<Vec<String>>()
    };
    [(GUARDED_NAME, GUARDED_BODY.to_owned(), settings(&["extra_float_digits=1"])), (NAME, body, Vec::new())]
        .map(|(name, body, settings)| ViewFunction::decimal(schema, name, body, settings))
}
