// A path that no page spells out, such as spec.template.spec.tolerations, is looked for without its beginning.
(() => {
  if (!window.elasticlunr) return;
  const search = elasticlunr.Index.prototype.search;
  elasticlunr.Index.prototype.search = function (query, options) {
    for (let rest = query; ; ) {
      const found = search.call(this, rest, options);
      const shorter = rest.replace(/^[\p{L}\p{N}_-]*[^\p{L}\p{N}_-]+/u, "");
      if (found.length || shorter === "" || shorter === rest || /\s/.test(query)) return found;
      rest = shorter;
    }
  };
})();
