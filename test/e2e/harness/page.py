"""What scripts that tests run on the product's own page have in common."""

# For the beginning of a script's body: `find` an element by its test id, wait `until` something is so.
HELPERS = """
  const find = (id) => document.querySelector(`[data-testid="${id}"]`);
  const until = async (what, probe) => {
    for (let waited = 0; waited < 200; waited += 1) {
      if (probe()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`waited in vain for ${what}`);
  };
"""
