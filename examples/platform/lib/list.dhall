-- | What the platform needs of lists beyond the language's builtins.
let map
    : forall (a : Type) -> forall (b : Type) -> (a -> b) -> List a -> List b
    = \(a : Type) ->
      \(b : Type) ->
      \(f : a -> b) ->
      \(items : List a) ->
        List/build
          b
          ( \(list : Type) ->
            \(cons : b -> list -> list) ->
              List/fold a items list (\(item : a) -> cons (f item))
          )

let concat
    : forall (a : Type) -> List (List a) -> List a
    = \(a : Type) ->
      \(lists : List (List a)) ->
        List/build
          a
          ( \(list : Type) ->
            \(cons : a -> list -> list) ->
            \(nil : list) ->
              List/fold
                (List a)
                lists
                list
                (\(items : List a) -> List/fold a items list cons)
                nil
          )

let when
    : forall (a : Type) -> Bool -> List a -> List a
    = \(a : Type) ->
      \(condition : Bool) ->
      \(items : List a) ->
        if condition then items else [] : List a

let nonEmpty
    : forall (a : Type) -> List a -> Optional (List a)
    = \(a : Type) ->
      \(items : List a) ->
        if    Natural/isZero (List/length a items)
        then  None (List a)
        else  Some items

let exampleMap =
        assert
      : map Natural Natural (\(n : Natural) -> n + 1) [ 1, 2 ] === [ 2, 3 ]

let exampleConcat = assert : concat Natural [ [ 1 ], [ 2, 3 ] ] === [ 1, 2, 3 ]

in  { map, concat, when, nonEmpty }
