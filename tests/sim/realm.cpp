#include "realm.h"

#include "base/files.h"
#include "base/text.h"
#include "machine.h"
#include "maint/enrol_request.h"
#include "maint/tier_identity.h"
#include "network.h"
#include "trust/invite.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

namespace hasp::sim {

namespace {

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "the realm of the simulation cannot be set up: %s\n", what.c_str());
    std::abort();
}

void must(const Status& status, const std::string& what) {
    if (!status.ok()) {
        give_up(what + ": " + status.error().message);
    }
}

template <typename T>
T must(Result<T> result, const std::string& what) {
    if (!result.ok()) {
        give_up(what + ": " + result.error().message);
    }
    return *std::move(result);
}

// Set-up: nothing fails in it.
class Workshop final : public Surroundings {
  public:
    Engine engine{0};
    Network network{engine};
    std::vector<std::unique_ptr<Machine>> machines;

    void link_bytes(Machine& from, std::int64_t link, const std::string& bytes) override {
        network.carry(from, link, bytes);
    }
    void cut_neighbour(Machine& from, const std::string& neighbour) override {
        network.cut_neighbour(from, neighbour);
    }
    void went_down(Machine& machine) override { network.went_down(machine); }
    void came_up(Machine&) override {}
    void power_went(Machine&) override {}
    void kept_usage(Machine&, std::span<const billing::UsageRecord>) override {}
    void failed_to_start(Machine& machine, const Error& error) override {
        give_up(machine.name + ": " + error.message);
    }

    Machine& add(const std::string& name, const std::string& files) {
        auto disk = std::make_unique<Disk>(engine.random().u64());
        disk->plant_folder("/");
        machines.push_back(std::make_unique<Machine>(engine, *this, name, files, std::move(disk),
                                                     Realm::config()));
        machines.back()->start();
        return *machines.back();
    }

    Json order(Machine& machine, const std::string& command, const Json& args) {
        std::optional<Result<Json>> answer;
        machine.admin(command, args, [&answer](std::optional<Result<Json>> a) { answer = a; });
        for (int i = 0; i < 60 && !answer; ++i) {
            engine.run_until(engine.now_us() + second);
        }
        return must(answer ? *answer : Result<Json>(fail(Code::timed_out, "no answer")), command);
    }

    Machine& join(Machine& parent, const std::string& name, const std::string& files) {
        const Json line =
            order(parent, "local.invite", {{"name", name}, {"addresses", {"192.0.2.1:8490"}}});
        const auto invitation =
            must(trust::parse_invitation(text_of(line, "invitation")), "the invitation");
        const auto keys = must(maint::prepare_join_keys(files + "/keys", engine.random()), "keys");
        Page answer;
        parent.page({{"method", "POST"}, {"target", "/hasp/link/enrol"}, {"door", "link"}},
                    maint::enrol_request(invitation, keys.envelope_key, keys.tls_key),
                    [&answer](Page page) { answer = std::move(page); });
        engine.run_until(engine.now_us() + second);
        if (answer.status != 200) {
            give_up("enrolment: " + answer.body);
        }
        const Json json = parse_object(answer.body);
        const auto chain = must(trust::from_pem(text_of(json, "ca_chain")), "the chain");
        const auto leaf = must(trust::from_pem(text_of(json, "tls_cert")), "the certificate");
        must(maint::save_identity(files + "/keys",
                                  {*invitation.parent.child(name), invitation.realm_id,
                                   static_cast<std::uint64_t>(int_of(json, "epoch")),
                                   keys.envelope_key, keys.tls_key, chain, leaf.front(),
                                   invitation.addresses}),
             "keys");
        Machine& machine = add(name, files);
        network.add(machine, parent);
        return machine;
    }

    void wait_for(const std::string& what, const std::function<bool()>& done) {
        for (int i = 0; i < 300; ++i) {
            if (done()) {
                return;
            }
            engine.run_until(engine.now_us() + second);
        }
        give_up("it never came that " + what);
    }
};

constexpr const char* pages =
    "kind = \"static\"\nmount = \"both\"\n[static]\nroot = \".\"\nindex = \"index.html\"\n";
// A program for each user with a folder of his own; nobody starts it here.
constexpr const char* program = "kind = \"process\"\ninstance = \"user\"\n[process]\ncommand = "
                                "[\"notes\"]\nlisten = \"unix\"\n";

void add_app(Workshop& shop, Machine& center, const std::string& root, const std::string& app,
             const char* manifest, const std::vector<std::string>& to) {
    const std::string dir = root + "/source-" + app;
    must(make_folders(dir), dir);
    must(write_file_durably(dir + "/hasp-app.toml",
                            "[app]\nname = \"" + app + "\"\ntitle = \"" + app + "\"\n" + manifest,
                            0644),
         dir);
    must(write_file_durably(dir + "/index.html", "the " + app, 0644), dir);
    shop.order(center, "app.add", {{"dir", dir}, {"to", to}});
}

bool settled(Machine& center, std::size_t children) {
    const Json status = center.look("status");
    std::size_t reached = 0;
    for (const Json& child : member(status, "children")) {
        const Json& at = member(child, "reached");
        reached +=
            int_of(child, "lease") > 0 && int_of(at, "lease") == int_of(child, "lease") &&
                    int_of(at, "generation") == int_of(member(child, "desired"), "generation")
                ? 1U
                : 0U;
    }
    return reached == children;
}

} // namespace

const std::vector<RealmAccount>& Realm::accounts() {
    static const std::vector<RealmAccount> all{
        {"anna", "center", "first word of anna", {"wiki", "calendar", "notes"}},
        {"ben", "center", "first word of ben", {"wiki", "notes"}},
        {"carl", "tokyo", "first word of carl", {"wiki", "notes"}}};
    return all;
}

const std::vector<std::string>& Realm::apps() {
    static const std::vector<std::string> all{"wiki", "calendar"};
    return all;
}

maint::Config Realm::config() {
    maint::Config config;
    config.login.password_cost = {8, 1, 1};
    config.login.failures_before_delay = 1'000;
    config.login.attempts_per_minute_per_address = 100'000;
    config.files.compose_small = true;
    config.files.answer_rows = 3; // so that a few files go in parts
    config.files.batch_operations = 3;
    return config;
}

const Realm& Realm::get() {
    static const Realm only;
    return only;
}

Realm::Realm() {
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    root_ = (memory ? std::string("/dev/shm") : std::filesystem::temp_directory_path().string()) +
            "/hasp_sim_XXXXXX";
    if (::mkdtemp(root_.data()) == nullptr) {
        give_up(root_);
    }
    seed_sqlite(0);
    Workshop shop;
    const auto files = [this](const std::string& name) { return root_ + "/realm/" + name; };
    const ManualClock clock;
    const auto top =
        must(maint::make_top_identity("clinics", "center", clock, shop.engine.random()), "the top");
    must(maint::save_identity(files("center") + "/keys", top), "keys");
    Machine& center = shop.add("center", files("center"));
    Machine& tokyo = shop.join(center, "tokyo", files("tokyo"));
    Machine& osaka = shop.join(center, "osaka", files("osaka"));
    shop.wait_for("the links are up",
                  [&] { return shop.network.joined(tokyo) && shop.network.joined(osaka); });
    shop.engine.run_until(shop.engine.now_us() + 5 * second);
    for (const RealmAccount& account : accounts()) {
        Machine& home = account.home == "center" ? center : tokyo;
        shop.order(home, "user.add", {{"name", account.name}, {"password", account.password}});
        shop.order(home, "user.entitle", {{"user", account.name}, {"apps", account.apps}});
    }
    add_app(shop, center, root_, "wiki", pages, {"center", "tokyo", "osaka"});
    add_app(shop, center, root_, "calendar", pages, {"center", "tokyo"});
    add_app(shop, center, root_, "notes", program, {"center", "tokyo", "osaka"});
    shop.order(center, "local.allow", {{"name", "tokyo"}, {"users", {"anna", "ben"}}});
    shop.order(center, "local.allow", {{"name", "osaka"}, {"users", {"anna", "ben"}}});
    shop.engine.run_until(shop.engine.now_us() + 60 * second);
    shop.wait_for("the locals have what was ordered", [&] { return settled(center, 2); });
    for (const auto& machine : shop.machines) {
        machine->stop();
        machines_.push_back({machine->name, machine->name == "center" ? "" : "center",
                             machine->state, machine->disk().clone(0)});
    }
}

namespace {

// Trees of releases are read-only.
void make_writable(const std::string& folder) {
    std::error_code ignored;
    for (auto at = std::filesystem::recursive_directory_iterator(folder, ignored);
         at != std::filesystem::recursive_directory_iterator(); at.increment(ignored)) {
        if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
            std::filesystem::permissions(at->path(), std::filesystem::perms::owner_all,
                                         std::filesystem::perm_options::add, ignored);
        }
    }
}

} // namespace

Realm::~Realm() {
    make_writable(root_);
    static_cast<void>(remove_tree(root_));
}

std::string Realm::fresh_files(const std::string& machine) const {
    const std::string to = root_ + "/run/" + machine;
    std::error_code failed;
    for (const RealmMachine& held : machines_) {
        if (held.name != machine) {
            continue;
        }
        std::filesystem::create_directories(to, failed);
        // Keys are only read; of releases, those that are not needed any more are removed.
        if (!std::filesystem::exists(to + "/keys")) {
            std::filesystem::create_directory_symlink(held.files + "/keys", to + "/keys", failed);
        }
        make_writable(to + "/releases");
        if (const Status removed = remove_tree(to + "/releases"); !removed.ok()) {
            give_up(removed.error().message);
        }
        std::filesystem::copy(held.files + "/releases", to + "/releases",
                              std::filesystem::copy_options::recursive |
                                  std::filesystem::copy_options::copy_symlinks,
                              failed);
    }
    if (failed) {
        give_up(to + ": " + failed.message());
    }
    return to;
}

} // namespace hasp::sim
