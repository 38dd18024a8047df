// Command flux-reconcile lets source-controller's own reconciler work on one
// OCIRepository, and prints the status that it writes.
//
// Question and Secrets are as for flux-verify; the answer is the object's
// status as it stands in the cluster. The cluster is a client in memory; of
// the controller's storage there is a stand-in (artifact/), since its module
// is not to be had. Everything between them is the controller's.
//
//	flux-reconcile < question.json > status.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	kjson "sigs.k8s.io/json"

	"github.com/fluxcd/pkg/artifact/config"
	"github.com/fluxcd/pkg/artifact/storage"
	"github.com/go-logr/logr"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/fluxcd/source-controller/internal/controller"
	scosign "github.com/fluxcd/source-controller/internal/oci/cosign"
)

const (
	maxQuestion = 16 << 20
	// The first reconciliation adds a finalizer, the second one does the work.
	maxReconciliations = 3
	events             = 64
)

type question struct {
	Source  json.RawMessage              `json:"source"`
	Secrets map[string]map[string]string `json:"secrets,omitempty"`
}

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "flux-reconcile: %v\n", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	content, err := io.ReadAll(io.LimitReader(in, maxQuestion))
	if err != nil {
		return err
	}
	asked, source := &question{}, &sourcev1.OCIRepository{}
	if err := strictly(content, asked); err != nil {
		return fmt.Errorf("the question: %w", err)
	}
	if err := strictly(asked.Source, source); err != nil {
		return fmt.Errorf("the OCIRepository: %w", err)
	}
	defaults(source)
	folder, err := os.MkdirTemp("", "flux-reconcile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	status, err := reconcile(ctrl.LoggerInto(ctx, logr.Discard()), source, asked.Secrets, folder)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(status)
}

func strictly(content []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(content, into)
	return errors.Join(append(strict, err)...)
}

// defaults are those that the API server fills in.
func defaults(source *sourcev1.OCIRepository) {
	if source.Spec.Provider == "" {
		source.Spec.Provider = sourcev1.GenericOCIProvider
	}
	if source.Spec.Timeout == nil {
		source.Spec.Timeout = &metav1.Duration{Duration: 60e9}
	}
	if source.Spec.Verify != nil && source.Spec.Verify.Provider == "" {
		source.Spec.Verify.Provider = "cosign"
	}
	source.Generation = 1
}

func reconcile(
	ctx context.Context, source *sourcev1.OCIRepository, secrets map[string]map[string]string, folder string,
) (*sourcev1.OCIRepositoryStatus, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), sourcev1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	objects := []client.Object{source}
	for name, text := range secrets {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: source.Namespace}}
		secret.Data = map[string][]byte{}
		for key, value := range text {
			secret.Data[key] = []byte(value)
		}
		objects = append(objects, secret)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(source).Build()
	store, err := storage.New(&config.Options{StoragePath: folder, StorageAdvAddress: "localhost"})
	if err != nil {
		return nil, err
	}
	reconciler := &controller.OCIRepositoryReconciler{
		Client:                cluster,
		EventRecorder:         record.NewFakeRecorder(events),
		Storage:               store,
		ControllerName:        "source-controller",
		CosignVerifierFactory: scosign.NewCosignVerifierFactory(),
	}
	manager, err := neverStarted(scheme)
	if err != nil {
		return nil, err
	}
	// This is where a reconciler learns which conditions are its own.
	if err := reconciler.SetupWithManager(manager, controller.OCIRepositoryReconcilerOptions{}); err != nil {
		return nil, err
	}
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(source)}
	for range maxReconciliations {
		// An error is what the controller would try again after; it has written
		// why into the status.
		_, _ = reconciler.Reconcile(ctx, request)
		seen := &sourcev1.OCIRepository{}
		if err := cluster.Get(ctx, request.NamespacedName, seen); err != nil {
			return nil, err
		}
		ready := meta.FindStatusCondition(seen.Status.Conditions, "Ready")
		if ready != nil && ready.Status != metav1.ConditionUnknown {
			return &seen.Status, nil
		}
	}
	return nil, errors.New("the reconciler does not come to an end")
}

// neverStarted is a manager that knows the types and asks no cluster.
func neverStarted(scheme *runtime.Scheme) (ctrl.Manager, error) {
	return ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) {
			return meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups()), nil
		},
	})
}
