//! What `--help` prints.

const ALL: &str = "\
Starts applications, watches them, and brings requests to them.

usage: server-module run [--config FILE]
       server-module run [--urls URLS] [--control SOCKET] [--in-process] PROGRAM [ARGUMENTS]
       server-module check [--config FILE]
       server-module status [--json] [--config FILE | --control SOCKET]
       server-module recycle APPLICATION [--config FILE | --control SOCKET]
       server-module stop [--config FILE | --control SOCKET]

  run      serves the applications of a file, or one program at http://localhost:5000
  check    tells everything that is wrong with the files, each in a line
  status   tells how the applications are
  recycle  puts new processes in the place of those of an application
  stop     ends the module and its applications, politely

  --config FILE     the settings; else ./module.json, else /etc/server-module/module.json
  --control SOCKET  the Unix socket of the module; else that of the settings
  --urls URLS       where the program is served, separated by ;
  --in-process      the program serves the module's sockets itself
  --json            as JSON
  -h, --help        this text, or more about a command: server-module run --help
  -V, --version     the version

exit codes: 0 done, 1 failed or wrong settings, 2 wrong command line, 3 no module answers
";

const RUN: &str = "\
usage: server-module run [--config FILE]
       server-module run [--urls URLS] [--control SOCKET] [--in-process] PROGRAM [ARGUMENTS]

Serves the applications of a file, or one program. It runs until SIGTERM, SIGQUIT, Ctrl+C or 'server-module stop', and then
ends its applications politely. A mistake anywhere in the settings fails the start; once it runs, one in an application
concerns that application alone.

  --config FILE     the settings; else ./module.json, else /etc/server-module/module.json

One program is served at http://localhost:5000, from the current folder. Everything behind its name is its own.

  --urls URLS       where it is served, separated by ;
  --control SOCKET  the Unix socket of commands to the module, such as ./control.sock; else there is none
  --in-process      it serves the module's sockets itself

Variables of the environment go before a file, and stand in its place for one program: Module__ControlSocket,
Module__Endpoints__Web__Url, Module__Certificates__Default__Path, Logging__LogLevel__Default.

exit codes: 0 it was asked to end, 1 it could not be started, 2 wrong command line
";

const CHECK: &str = "\
usage: server-module check [--config FILE]

Reads the settings and the web.config of every application as 'run' does, and tells everything that is wrong with them, each
in a line with key and place; or what would be served, and what is read and not done.

  --config FILE  the settings; else ./module.json, else /etc/server-module/module.json

exit codes: 0 nothing is wrong, 1 something is, 2 wrong command line
";

const STATUS: &str = "\
usage: server-module status [--json] [--config FILE | --control SOCKET]

Tells how the applications of the module that runs are.

  idle      it has no process; the next request or connection starts one
  starting  a process has been started and is not ready yet
  running   it answers requests
  stopping  its processes end
  offline   app_offline.htm lies in its folder
  disabled  it has failed too often within a minute, and is not started until that is over, or it is recycled

  --json            as JSON; CONFIGURATION.md has its fields
  --config FILE     the settings, of which only Module:ControlSocket is read
  --control SOCKET  the Unix socket of the module, without any settings

exit codes: 0 done, 1 failed or wrong settings, 2 wrong command line, 3 no module answers
";

const RECYCLE: &str = "\
usage: server-module recycle APPLICATION [--config FILE | --control SOCKET]

Puts new processes in the place of those of an application; done when they are ready. The settings of the application and
its web.config are read again for them. Where it listens, its Hosts, PathPrefix, Endpoints, HostingModel and Path, and which
applications there are, stay as they were when the module was started.

  --config FILE     the settings, of which only Module:ControlSocket is read
  --control SOCKET  the Unix socket of the module, without any settings

exit codes: 0 done, 1 failed, and the old processes stay, 2 wrong command line, 3 no module answers
";

const STOP: &str = "\
usage: server-module stop [--config FILE | --control SOCKET]

Ends the module and its applications, politely; done when they have ended.

  --config FILE     the settings, of which only Module:ControlSocket is read
  --control SOCKET  the Unix socket of the module, without any settings

exit codes: 0 it has ended, 1 failed or wrong settings, 2 wrong command line, 3 no module answers
";

/// The text of a command, or of all.
pub(super) fn of(command: Option<&str>) -> &'static str {
    match command {
        Some("run") => RUN,
        Some("check") => CHECK,
        Some("status") => STATUS,
        Some("recycle") => RECYCLE,
        Some("stop") => STOP,
        _ => ALL,
    }
}
