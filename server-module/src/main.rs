//! The program of the module.

fn main() -> std::process::ExitCode {
    if let Some(code) = server_module::run_as_guard(std::env::args_os().skip(1)) {
        return code;
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let surroundings = server_module::Surroundings::of_the_process().expect("a folder");
    let options = match &arguments[..] {
        [_, option, file] if option == "--config" => server_module::ModuleOptions::load(file, &surroundings),
        [_, program, arguments @ ..] => {
            server_module::ModuleOptions::for_program(program, arguments, &surroundings)
        }
        _ => return 2.into(),
    };
    let options = match options {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return 1.into();
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(server_module::run(options)) {
        Ok(()) => 0.into(),
        Err(error) => {
            eprintln!("{error}");
            1.into()
        }
    }
}
