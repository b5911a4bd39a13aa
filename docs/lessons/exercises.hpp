#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// \file
/// The functions of the exercises. The reader writes those in exercises/. Those in solutions/ are
/// right; the tests use them.
namespace ngx::exercise {

// 01_modules
int ctx_index(const std::uint32_t* types, int module);
int conf_ctx_slot(const std::uint32_t* types, int module);

// 02_connection
int next_slot(const int* closed, int closed_n, int never_used);
bool instance_of_use(int use);

// 03_stale
bool is_delivered(bool slot_open, bool slot_instance, bool event_instance);
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
int failed_accepts(const std::string& how, int workers, int clients);

// 08_seven_eighths
long accept_disabled_at(long connections, long free);
int turns_without_the_mutex(long accept_disabled);

// 09_emfile
bool stops_accepting(int err);
bool is_watched(int step);

// 10_timer_resolution
long wait_of_turn(long resolution, long next_timer);
bool updates_the_time(long resolution, bool alarm_rang);

// 11_file_aio
long bytes_read(long file_size, long offset, long size);
std::uint64_t sum_of_eventfd(int reads);

// 12_reload
bool keeps_descriptor(const std::string& old_path, const std::string& new_path);
int generation_after(int good_reloads, int refused_reloads);

// 13_poller
short wanted_events(bool read, bool write);
std::string handlers_to_call(short revents, bool read_active, bool write_active);

// 14_rtsig
int useless_signals(int sends);
int descriptors_to_poll(bool overflow, int named, int open);

// 15_iouring
struct Received {
    const char* data;  // in a buffer
    std::size_t left;  // bytes that were not read
};

std::uint32_t slot_in(std::uint64_t user_data);
std::uint32_t generation_in(std::uint64_t user_data);
bool is_stale(std::uint64_t user_data, int fd, std::uint32_t generation);
std::size_t take(Received& from, char* into, std::size_t size);
int flags_of_send();
bool receives_again(int res, std::size_t unread, int free_buffers);

}  // namespace ngx::exercise
