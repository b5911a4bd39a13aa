#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>

#include "test/event/contract/promise.hpp"
#include "test/support/client.hpp"
#include "test/support/process.hpp"

namespace ngx::contract {

using test::Client;
using test::Port;

/// Receives `size` bytes, or with npos everything until the end. Returns fewer if the data ends,
/// and only the error, in brackets, if no more arrives in time.
std::string receive(const Client& client, std::size_t size = std::string::npos);

/// How the server is started.
struct ServiceConf {
    int workers = 0;  // 0: without a master
    std::string_view events = "";
    std::string_view listen = "";  // parameters for each TCP listener
    bool small_limits = false;     // few files and few pending signals
};

/// The whole server with the subject, in its own processes: a text, echo over TCP and UDP, a
/// proxy to the echo, and a text after a PROXY protocol header. Errors go to the verdict. The
/// destructor ends all processes.
class Service {
public:
    Service(const Subject& subject, Verdict& verdict, const ServiceConf& conf);
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;
    ~Service();

    [[nodiscard]] Client client(const Port& port, int type = SOCK_STREAM) const;
    [[nodiscard]] const Port& echo() const noexcept { return echo_; }
    [[nodiscard]] const Port& proxy() const noexcept { return proxy_; }

    /// Checks that each server of the configuration answers.
    void serves();

    /// Stops the processes until resume(), so that everything that arrives is handled in one turn.
    void pause() const;
    void resume() const;

    /// Returns when the new configuration is in use.
    void reload();

    /// Ends the server gracefully. Checks that it exits normally and has logged no alert.
    void stop();

private:
    void write_conf() const;
    [[noreturn]] void run_server() const;
    void wait_for_start();
    [[nodiscard]] std::string log() const;
    bool wait_for_end(int milliseconds);
    void check_log();

    const Subject& subject_;
    Verdict& verdict_;
    ServiceConf conf_;
    test::TempDir dir_{};
    Port told_;
    Port echo_;
    Port proxy_;
    Port header_;
    Port datagrams_;
    int generation_ = 1;
    pid_t pid_ = -1;
    test::Fd pidfd_{};
    int status_ = -1;  // from waitpid(), after the end
};

}  // namespace ngx::contract
