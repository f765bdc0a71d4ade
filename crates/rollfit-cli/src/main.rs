//! The program `rollfit`: everything is in the library.

fn main() -> std::process::ExitCode {
    rollfit_cli::run(std::env::args_os()).into()
}
