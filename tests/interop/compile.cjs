// node compile.cjs SCHEMA LANGUAGE DIRECTORY: compiles a schema of Kaitai Struct.
const fs = require("fs");
const path = require("path");
const yaml = require("js-yaml");
const compiler = require("kaitai-struct-compiler");

const [schema, language, directory] = process.argv.slice(2);
compiler
  .compile(language, yaml.load(fs.readFileSync(schema, "utf8")), null, false)
  .then((files) => {
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text);
  })
  .catch((error) => {
    console.error(String(error.message || error));
    process.exit(1);
  });
