#include <algorithm>

#include "test/oracle/case.hpp"

namespace ngx::test::oracle {

namespace {

/// The kind of values that are tested for a directive.
enum class Kind { other, flag, number, milliseconds, offset };

struct Directive {
    std::string name;
    /// The innermost block it belongs to.
    std::string context;
    /// Arguments that are accepted.
    std::string good;
    Kind kind = Kind::other;
    bool block = false;
};

const std::vector<Directive>& directives()
{
    static const std::vector<Directive> table{
        {"daemon", "main", "on", Kind::flag},
        {"master_process", "main", "on", Kind::flag},
        {"timer_resolution", "main", "100ms", Kind::milliseconds},
        {"pid", "main", "other.pid"},
        {"lock_file", "main", "logs/lock"},
        {"worker_processes", "main", "2", Kind::number},
        {"debug_points", "main", "stop"},
        {"user", "main", "root root"},
        {"worker_priority", "main", "5", Kind::number},
        {"worker_cpu_affinity", "main", "01"},
        {"worker_rlimit_nofile", "main", "512", Kind::number},
        {"worker_rlimit_core", "main", "100m", Kind::offset},
        {"worker_shutdown_timeout", "main", "10s", Kind::milliseconds},
        {"working_directory", "main", "/tmp"},
        {"env", "main", "PATH=/bin"},
        {"load_module", "main", "none.so"},
        {"error_log", "main", "stderr notice"},
        {"worker_connections", "events", "64", Kind::number},
        {"use", "events", "poll"},
        {"multi_accept", "events", "on", Kind::flag},
        {"accept_mutex", "events", "on", Kind::flag},
        {"accept_mutex_delay", "events", "100ms", Kind::milliseconds},
        {"debug_connection", "events", "127.0.0.1"},
        {"epoll_events", "events", "64", Kind::number},
        {"worker_aio_requests", "events", "16", Kind::number},
        {"listen", "listen", "127.0.0.1:%PORT% bind"},
        {"return", "return", "text"},
        {"allow", "full", "127.0.0.1"},
        {"deny", "full", "127.0.0.1"},
        {"preread_buffer_size", "full", "1k", Kind::offset},
        {"preread_timeout", "full", "1s", Kind::milliseconds},
        {"proxy_protocol_timeout", "full", "1s", Kind::milliseconds},
        {"proxy_pass", "return", "127.0.0.1:1"},
        {"proxy_bind", "full", "127.0.0.1"},
        {"proxy_socket_keepalive", "full", "on", Kind::flag},
        {"proxy_connect_timeout", "full", "1s", Kind::milliseconds},
        {"proxy_timeout", "full", "1s", Kind::milliseconds},
        {"proxy_buffer_size", "full", "1k", Kind::offset},
        {"proxy_upload_rate", "full", "1k", Kind::offset},
        {"proxy_download_rate", "full", "1k", Kind::offset},
        {"proxy_requests", "full", "1", Kind::number},
        {"proxy_responses", "full", "1", Kind::number},
        {"proxy_next_upstream", "full", "on", Kind::flag},
        {"proxy_next_upstream_tries", "full", "1", Kind::number},
        {"proxy_next_upstream_timeout", "full", "1s", Kind::milliseconds},
        {"proxy_protocol", "full", "on", Kind::flag},
        {"proxy_half_close", "full", "on", Kind::flag},
        {"least_conn", "upstream", ""},
        {"upstream", "stream", "u", Kind::other, true},
        {"events", "file", "", Kind::other, true},
        {"stream", "main", "", Kind::other, true},
        {"server", "stream", "", Kind::other, true},
    };
    return table;
}

Case make(const Directive& directive, const std::string& what, const std::string& context,
          const std::string& text)
{
    Case made;
    made.name = "generated: " + directive.name + " " + what;
    made.own_pid = directive.name == "pid";
    made.needs_debug = directive.name == "debug_connection";
    made.files["nginx.conf"] = in_context(context, text + "\n");
    return made;
}

std::string line(const Directive& directive, const std::string& arguments)
{
    const std::string end = directive.block ? " {}" : ";";
    return directive.name + (arguments.empty() ? "" : " " + arguments) + end;
}

void add_argument_counts(const Directive& directive, std::vector<Case>& cases)
{
    cases.push_back(make(directive, "without arguments", directive.context, line(directive, "")));
    cases.push_back(make(directive, "with one argument more", directive.context,
                         line(directive, directive.good + " more")));
    cases.push_back(make(directive, "with nine arguments", directive.context,
                         line(directive, "1 2 3 4 5 6 7 8 9")));
    // An empty pid is the default, which is not a file of the test.
    if (directive.name != "pid") {
        cases.push_back(
            make(directive, "with an empty argument", directive.context, line(directive, "\"\"")));
    }
}

void add_terminators(const Directive& directive, std::vector<Case>& cases)
{
    const std::string words = directive.name + " " + directive.good;
    const std::string wrong = directive.block ? ";" : " {}";
    cases.push_back(make(directive, "with the other terminator", directive.context, words + wrong));
    cases.push_back(make(directive, "before a brace", directive.context, words + " }"));
    cases.push_back(make(directive, "at the end of the file", directive.context, words + "%END%"));
}

void add_places(const Directive& directive, std::vector<Case>& cases)
{
    for (const std::string context : {"main", "events", "stream", "return"}) {
        cases.push_back(make(directive, "in " + context, context, line(directive, directive.good)));
    }
}

void add_duplicate(const Directive& directive, std::vector<Case>& cases)
{
    const std::string good = line(directive, directive.good);
    cases.push_back(make(directive, "twice", directive.context, good + "\n" + good));
}

const std::vector<std::string>& values(Kind kind)
{
    static const std::map<Kind, std::vector<std::string>> table{
        {Kind::other, {}},
        {Kind::flag, {"off", "ON", "oN", "Off", "yes", "1", "on,", "onn", "o"}},
        {Kind::number,
         {"0", "1", "007", "-1", "+1", "1.5", "1k", "abc", "1 ", "0x10", "2147483648",
          "9223372036854775807", "9223372036854775808", "18446744073709551615",
          "99999999999999999999"}},
        {Kind::milliseconds,
         {"0",
          "1",
          "1ms",
          "1s",
          "1m",
          "1h",
          "1d",
          "1w",
          "1M",
          "1y",
          "1s 500ms",
          "1s500ms",
          "500ms1s",
          "1m 1m",
          "1s5",
          "5 1s",
          "1h30m",
          "1.5s",
          "-1s",
          "ms",
          "s",
          "1sec",
          "1 s",
          " 1",
          "1 ",
          "1S",
          "1D",
          "9223372036854775807ms",
          "9223372036854775808ms",
          "9223372036854775s",
          "9223372036854776s",
          "106751991167d",
          "106751991168d"}},
        {Kind::offset,
         {"0",
          "1",
          "1k",
          "1K",
          "1m",
          "1M",
          "1g",
          "1G",
          "1t",
          "1kb",
          "k",
          "-1",
          "1.5m",
          "1 k",
          "9223372036854775807",
          "9223372036854775808",
          "8589934591g",
          "8589934592g",
          "9007199254740991k",
          "9007199254740992k"}},
    };
    return table.at(kind);
}

void add_values(const Directive& directive, std::vector<Case>& cases)
{
    for (const std::string& value : values(directive.kind)) {
        cases.push_back(make(directive, "\"" + value + "\"", directive.context,
                             line(directive, "\"" + value + "\"")));
    }
}

}  // namespace

std::vector<Case> generated_cases()
{
    std::vector<Case> cases;
    for (const Directive& directive : directives()) {
        add_argument_counts(directive, cases);
        add_terminators(directive, cases);
        add_places(directive, cases);
        add_duplicate(directive, cases);
        add_values(directive, cases);
    }
    return cases;
}

}  // namespace ngx::test::oracle
