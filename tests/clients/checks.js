'use strict';
// Runs the functions of a script as checks, and tells the result of each as a line for `run`.

const port = Number(process.env.SHOALMQ_PORT);
const authPort = Number(process.env.SHOALMQ_AUTH_PORT);
const password = process.env.SHOALMQ_PASSWORD;

async function run(title, checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${title}: ${name}`);
    } catch (error) {
      const reason = String(error.stack || error).replaceAll('\n', '\n    ');
      console.log(`not ok ${title}: ${name}\n    ${reason}`);
    }
  }
}

module.exports = { authPort, password, port, run };
