//! The `ottla` program.

use std::process::ExitCode;

use ottla_broker::cli::{self, Command};
use ottla_broker::{docker, health, offline, serve, tools};

/// Decoding reserves memory by lengths that clients send. This allocator hands
/// out address space only, so such a reservation costs nothing and the missing
/// bytes are noticed; the system's would end the process.
#[global_allocator]
static ALLOCATOR: ottla_allocator::MiMalloc = ottla_allocator::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Serve(serve)) => serve::run(&serve),
        Ok(Command::Docker(docker)) => docker::run(&docker),
        Ok(Command::Health(health)) => health::run(&health),
        Ok(Command::Topics(topics)) => tools::topics(&topics),
        Ok(Command::Cluster(cluster)) => tools::cluster(&cluster),
        Ok(Command::ApiVersions(servers)) => tools::api_versions(&servers),
        Ok(Command::RandomUuid) => offline::random_uuid(),
        Ok(Command::Format(format)) => offline::format(&format),
        Ok(Command::Info(info)) => offline::info(&info),
        Ok(Command::Check(check)) => offline::check(&check),
        Ok(Command::Dump(dump)) => offline::dump(&dump),
        Err(usage) => usage.exit(),
    }
}
