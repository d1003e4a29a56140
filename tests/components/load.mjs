// Imports an npm package as seen from the folder into which tests/run installs the packages:
// this file is copied there, because Node resolves a name from the importing file's place.
export default (name) => import(name);
