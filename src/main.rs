//! The command line.

fn main() -> std::process::ExitCode {
    placet::cli::main()
}
