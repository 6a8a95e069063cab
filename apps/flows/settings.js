// Node-RED under hasp: the path comes from the manifest's command, the user from the tier in front of it.
const base = process.env.FLOWS_BASE || "/";
module.exports = {
  uiHost: "127.0.0.1",
  uiPort: 8080,
  httpAdminRoot: base,
  httpNodeRoot: base,
  userDir: "/data",
  flowFile: "/data/flows.json",
  credentialSecret: false,
  disableEditor: false,
  telemetry: { enabled: false, updateNotification: false },
  editorTheme: { tours: false, header: { title: "Sakura Clinics: instruments" } },
  externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
  logging: { console: { level: "info", metrics: false, audit: false } },
};
