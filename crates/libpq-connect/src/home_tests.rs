//! Tests of paths in a URL that start from the home directory.

use crate::connect_options::ConnectOptions;
use crate::environment::Environment;
use crate::tests::{TestHome, password_for_first_host};

#[test]
fn a_path_in_a_url_may_start_from_the_home_directory() {
    let home = TestHome::new().file("pass", "*:*:*:*:at home\n", 0o600);
    let parse = |url: &str| {
        let environment = Environment::from_variables(&home.path(""), &[]).with_url_dir("elsewhere");
        ConnectOptions::parse(url, &environment)
    };
    let options = parse("postgres://u@h/d?passfile=~/pass").unwrap();
    assert_eq!(password_for_first_host(&options).unwrap(), "at home");
    let error = parse("postgres://u@h/d?passfile=~other/pass").err().unwrap().to_string();
    assert!(error.contains("passfile in the URL is `~other/pass`: write the whole path"), "{error}");
}
