#pragma once

#include <cstdint>
#include <string>

/// \file
/// What the exercises ask for. The functions are in exercises/, for the reader to write; those in
/// solutions/ are right, and the tests use them.
namespace ngx::exercise {

// 01_modules
int ctx_index(const std::uint32_t* types, int module);
int conf_ctx_slot(const std::uint32_t* types, int module);

// 02_connection
int next_slot(const int* closed, int closed_n, int never_used);
bool instance_of_use(int use);

// 03_stale
bool is_handed_out(bool slot_open, bool slot_instance, bool event_instance);
std::uintptr_t address_of_slot(std::uintptr_t reported);

// 04_edge
int reports(bool edge, int bytes, int bytes_per_read);
void take_all(int fd, std::string& into);

// 05_timers
std::uint64_t key_after(std::uint64_t key, std::uint64_t now, std::uint64_t timer);
bool is_earlier(std::uint64_t one, std::uint64_t other);

// 06_posted
std::string order_of_turn(bool with_mutex);
int runs(int times_posted, int times_posted_by_itself);

// 07_herd
int woken(const std::string& how, int workers);
int accepts_in_vain(const std::string& how, int workers, int clients);

// 08_seven_eighths
long accept_disabled_at(long connections, long free);
int turns_without_the_mutex(long accept_disabled);

}  // namespace ngx::exercise
